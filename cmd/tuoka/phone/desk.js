// desk.js is what lies beside the phone: every request that the phone made, as it happened.

import {h} from './dom.js';
import {onCall} from './api.js';

const longest = 60;

// desk listens to the phone's requests.
export function desk() {
  const list = document.getElementById('calls');
  const none = document.getElementById('no-calls');
  onCall((call) => {
    if (call.path.endsWith('/faults')) return; // the drawer looking
    none.hidden = true;
    const ours = call.path.startsWith('/api/v1');
    const tone = call.status === 0 || call.status >= 500 ? 'bad' : call.status === 202 || call.status >= 400 ? 'warn' : 'good';
    list.prepend(h('li', {class: ours ? '' : 'sandbox', title: call.path},
      h('span', {class: `call-status ${tone}`}, call.status || '无应答'), h('span', {class: 'call-method'}, call.method), h('span', {class: 'call-path'}, short(call.path)),
      h('span', {class: 'call-ms'}, `${call.ms} ms`),
      call.code || call.key ? h('span', {class: 'call-more'}, [call.code, call.key && `幂等键 ${call.key.slice(0, 8)}…`].filter(Boolean).join('　')) : null));
    while (list.childElementCount > longest) list.lastElementChild.remove();
  });
}

function short(path) {
  return path.replace('/api/v1', '').replace('/sandbox/', '沙箱 ').replace(/\d{12,}/g, (id) => `…${id.slice(-4)}`).replace(/\?wait=0.*$/, '').replace(/&version=\d+$/, '');
}

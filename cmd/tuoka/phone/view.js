// view.js is the phone's shell: the bar with the capsule, the page in the middle, the foot with its one action, sheets and dialogs.

import {h, icon, button} from './dom.js';
import {Problem} from './api.js';
import {clauses} from './text.js';

const el = (id) => document.getElementById(id);
const later = [];
let routes = [];
let page = null;

// go shows another page.
export function go(path) {
  if (location.hash === `#${path}`) render();
  else location.hash = path;
}

// Page is what a page function draws on. Once left, it draws nothing more and its signal is aborted.
class Page {
  #control = new AbortController();
  constructor(path) { this.path = path; }

  get signal() { return this.#control.signal; }
  get gone() { return this.#control.signal.aborted; }
  leave() { this.#control.abort(); }

  // head names the page; back is the path of the page above, or nothing at the top.
  head(title, back) {
    if (this.gone) return;
    el('title').textContent = title;
    document.title = `${title} · 脱卡沙箱`;
    el('back').hidden = !back;
    el('back').onclick = () => go(back);
  }

  // show replaces the page's content; the focus stays on the same control if there still is one.
  show(...nodes) {
    if (this.gone) return;
    const held = document.activeElement?.dataset?.test;
    el('content').replaceChildren(...nodes.flat(Infinity).filter(Boolean));
    if (held) el('screen').querySelector(`[data-test="${CSS.escape(held)}"]`)?.focus({preventScroll: true});
  }

  // foot replaces what stays at the bottom of the page: the one action, and perhaps a second one.
  foot(...nodes) {
    if (this.gone) return;
    const kept = nodes.flat(Infinity).filter(Boolean);
    el('foot').replaceChildren(...kept);
    el('foot').hidden = kept.length === 0;
  }

  // tab shows the tab bar with this tab chosen.
  tab(chosen) {
    if (this.gone) return;
    el('tabs').hidden = false;
    for (const a of el('tabs').children) a.toggleAttribute('aria-current', a.dataset.tab === chosen);
    for (const a of el('tabs').querySelectorAll('[aria-current]')) a.setAttribute('aria-current', 'page');
  }

  // notice is a quiet line under the bar while an answer is awaited; null takes it away.
  notice(text) {
    if (this.gone) return;
    el('notice').hidden = !text;
    el('notice').replaceChildren(...(text ? [h('span', {class: 'spin'}), text] : []));
  }

  // waits gives persist its onWait: it says calmly what is going on.
  waits(doing) {
    return (problem) => {
      if (!problem) this.notice('');
      else if (problem.status === 0) this.notice(`网络不稳，正在重新连接。${doing}`);
      else this.notice(`${problem.detail.replace(/[。，]?(请)?稍后再试.*$/, '')}。${doing}`);
    };
  }

  // every calls f now and then until the page is left or what it draws on is gone.
  every(ms, f) {
    const timer = setInterval(f, ms);
    this.signal.addEventListener('abort', () => clearInterval(timer));
    return () => clearInterval(timer);
  }

  // failed shows a problem in place of the page, with what can be done about it.
  failed(err, ...actions) {
    if (this.gone) return;
    this.notice('');
    this.show(trouble(err));
    this.foot(...actions);
  }
}

// stepsLeft are the problems that only ask for something else to be done first.
const stepsLeft = ['CONSENT_REQUIRED', 'CONSENT_OUTDATED', 'GUARDIAN_CONSENT_REQUIRED', 'INSURANCE_NOT_BOUND', 'AUTH_EXPIRED', 'BILL_IN_ORDER', 'CLIENT_TOO_OLD'];

// trouble is a whole page's error: what happened, and the number to tell on the telephone.
export function trouble(err) {
  const passing = err instanceof Problem && err.passing;
  return h('section', {class: 'trouble', role: 'alert', test: 'problem', 'data-code': err.code || ''},
    h('div', {class: `trouble-mark ${passing ? 'calm' : ''}`}, icon(passing ? 'clock' : 'info')),
    h('h2', {}, passing ? '暂时没有结果' : stepsLeft.includes(err.code) ? '还差一步' : '没有办成'),
    h('p', {}, clauses(err instanceof Problem ? err.detail : `沙箱：${err.message}`)),
    passing ? h('p', {class: 'hint'}, clauses('没有新的扣款。如果刚才已经付过款，请不要重复支付，结果会自动更新。')) : null,
    err.requestID ? h('p', {class: 'request-id'}, `请求编号 ${err.requestID}`) : null);
}

// banner is a problem or a remark inside a page. The tone is warn, bad, info or good.
export function banner(tone, text, ...more) {
  const marks = {warn: 'warn', bad: 'warn', info: 'info', good: 'check'};
  return h('div', {class: `banner ${tone}`, role: tone === 'bad' ? 'alert' : 'status', test: `banner-${tone}`}, icon(marks[tone]),
    h('div', {class: 'banner-text'}, h('p', {}, text), more));
}

// skeleton holds the place of what is being read; the shapes are those of what will come: list, bill or split.
export function skeleton(kind = 'list') {
  const bar = (w) => h('span', {class: `bone w${w}`});
  const row = () => h('div', {class: 'bone-row'}, bar(40), bar(20));
  const shapes = {
    list: [0, 1, 2].map(() => h('div', {class: 'card'}, bar(50), bar(30), row())),
    bill: [h('div', {class: 'card bone-head'}, bar(30), bar(50)), h('div', {class: 'card'}, row(), row(), row(), row())],
    split: [h('div', {class: 'card bone-head'}, bar(30), bar(50), bar(90)), h('div', {class: 'card'}, row(), row(), row(), row())],
    text: [h('div', {class: 'card'}, [60, 90, 90, 80, 90, 40].map(bar))],
  };
  return h('div', {class: 'skeleton', role: 'status', 'aria-label': '正在读取'}, shapes[kind]);
}

// empty says that there is nothing, and that this is an answer.
export function empty(mark, title, text) {
  return h('section', {class: 'empty', test: 'empty'}, h('div', {class: 'empty-mark'}, icon(mark)), h('h2', {}, title), text ? h('p', {}, clauses(text)) : null);
}

// sheet opens something over the page: an action sheet, WeChat's cashier, another mini program. The promise ends with what close was given.
export function sheet(kind, name, build) {
  return new Promise((done) => {
    const before = document.activeElement;
    const mine = page;
    const box = h('div', {class: `sheet ${kind}`, role: 'dialog', 'aria-modal': 'true', 'aria-label': name, tabindex: '-1'});
    const back = h('div', {class: `cover ${kind}-cover`}, box);
    let open = true;
    const close = (value) => {
      if (!open) return;
      open = false;
      back.remove();
      document.removeEventListener('keydown', keys, true);
      el('app').inert = el('sheets').childElementCount > 0;
      if (before?.isConnected) before.focus({preventScroll: true});
      done(value);
    };
    const keys = (event) => {
      if (back !== el('sheets').lastElementChild) return;
      if (event.key === 'Escape') close();
      else box.dispatchEvent(new CustomEvent('typed', {detail: event}));
    };
    document.addEventListener('keydown', keys, true);
    mine?.signal.addEventListener('abort', () => close());
    box.append(...[build(close, box)].flat(Infinity).filter(Boolean));
    el('sheets').append(back);
    el('app').inert = true;
    box.focus({preventScroll: true});
  });
}

// ask is a question with two answers; it answers true for yes.
export function ask(title, text, yes, no = '取消', tone = 'danger') {
  return sheet('dialog', title, (close) => [
    h('h2', {}, title), h('p', {}, clauses(text)),
    h('div', {class: 'dialog-buttons'},
      button(no, {kind: 'plain', test: 'no', press: () => close(false)}),
      button(yes, {kind: tone === 'danger' ? 'plain danger' : 'plain strong', test: 'yes', press: () => close(true)}))]);
}

// toast says something for three seconds.
export function toast(text, tone = '') {
  const one = h('div', {class: `toast ${tone}`}, text);
  el('toasts').replaceChildren(one);
  setTimeout(() => one.remove(), 3200);
}

// onShown hears of every page's path when it is shown, so that the drawer knows what is in view.
export function onShown(f) { later.push(f); }

function render() {
  const path = location.hash.slice(1) || '/';
  const [where, query = ''] = path.split('?');
  page?.leave();
  page = new Page(path);
  el('foot').hidden = true;
  el('foot').replaceChildren();
  el('tabs').hidden = true;
  el('notice').hidden = true;
  el('content').replaceChildren();
  el('content').scrollTop = 0;
  el('screen').dataset.path = path; // nothing of the page before is left
  el('capsule').hidden = where === '/';
  for (const {pattern, draw} of routes) {
    const match = where.match(pattern);
    if (!match) continue;
    const args = Object.fromEntries(Object.entries(match.groups || {}).map(([k, v]) => [k, decodeURIComponent(v)]));
    run(draw, page, {...args, query: new URLSearchParams(query)});
    for (const f of later) f({path: where, ...args});
    el('title').focus({preventScroll: true});
    return;
  }
  go('/');
}

async function run(draw, mine, args) {
  try {
    await draw(mine, args);
  } catch (err) {
    if (mine.gone || err.name === 'AbortError') return;
    mine.failed(err, button('再试一次', {test: 'retry', press: () => go(mine.path)}));
  }
}

// start draws the page of the address, and every next one. The routes are rows of pattern and page function.
export function start(table) {
  routes = table.map(([pattern, draw]) => ({pattern: new RegExp(`^${pattern.replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`), draw}));
  el('back').append(icon('back'));
  el('more').append(icon('more'));
  el('leave').append(icon('target'));
  for (const [tab, path, mark, name] of [['pay', '/home', 'wallet', '缴费'], ['records', '/records', 'list', '记录'], ['me', '/me', 'person', '我的']]) {
    el('tabs').append(h('a', {href: `#${path}`, 'data-tab': tab, test: `tab-${tab}`}, icon(mark), name));
  }
  const tick = () => { el('clock').textContent = new Intl.DateTimeFormat('zh-CN', {hour: 'numeric', minute: '2-digit', hour12: false}).format(); };
  tick();
  setInterval(tick, 10_000);
  addEventListener('hashchange', render);
  render();
}

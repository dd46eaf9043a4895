// me.js: the orders so far, and one's own affairs: patients, consents, the way out.

import {h, icon, button} from '../dom.js';
import {api} from '../api.js';
import {session, forget} from '../session.js';
import {go, ask, empty, sheet, skeleton, toast} from '../view.js';
import {amount, moment, relations, stateOf} from '../text.js';

// recordsPage lists the orders, newest first, twenty at a time.
export async function recordsPage(page) {
  page.head('缴费记录');
  page.tab('records');
  page.show(skeleton('list'));
  const list = h('ul', {class: 'records'});
  const more = h('div', {class: 'more'});
  const read = async (before) => {
    const {orders} = await api('GET', `/orders?limit=20${before ? `&before=${before}` : ''}`, {signal: page.signal});
    list.append(...orders.map(record));
    const last = orders.at(-1);
    more.replaceChildren(...(orders.length === 20 ? [button('更早的记录', {kind: 'inline', press: () => read(last.id)})] : []));
  };
  await read();
  if (list.childElementCount === 0) page.show(empty('list', '还没有缴费记录', '在“缴费”里选一张费用单开始。'));
  else page.show(list, more);
}

function record(order) {
  const state = stateOf(order);
  return h('li', {}, h('button', {class: 'record card', type: 'button', test: 'record', 'data-state': order.state, onclick: () => go(`/order/${order.id}`)},
    h('span', {class: 'record-main'}, h('span', {class: 'bill-name'}, order.bills[0]?.department || '门诊费用'), h('span', {class: 'bill-sub'}, moment(order.created_at)),
      h('span', {class: `state ${state.tone}`, 'data-test': 'record-state'}, state.name)),
    h('span', {class: 'record-sums'}, amount(order.total_fen), h('small', {}, order.insured && !order.refusal ? '医保 + 微信' : '自费')), icon('next')));
}

// mePage is 我的.
export async function mePage(page) {
  page.head('我的');
  page.tab('me');
  page.show(skeleton('list'));
  const {patients} = await api('GET', '/patients', {signal: page.signal});
  const link = (mark, name, path, test) => h('a', {class: 'plain-row link', href: `#${path}`, test}, h('span', {class: 'with-icon'}, icon(mark), name), icon('next'));
  page.show(
    h('section', {class: 'me-head'}, h('span', {class: `avatar big ${session.role.insurance}`, 'aria-hidden': 'true'}, [...session.role.name][0]), h('div', {}, h('h2', {}, `${session.role.name}的微信`), h('p', {class: 'hint'}, '沙箱人物'))),
    h('h2', {class: 'group-title'}, '就诊人'),
    h('section', {class: 'card plain-list'}, patients.map((p) => h('div', {class: 'plain-row'},
      h('span', {}, `${p.name}　${relations[p.relation]}`, h('small', {class: 'digits'}, p.id_number)),
      button('移除', {kind: 'inline danger', name: `移除${p.name}`, press: () => removePatient(page, p)}))), link('family', '添加就诊人', '/patient', 'more-patients')),
    h('h2', {class: 'group-title'}, '设置'),
    h('section', {class: 'card plain-list'}, link('shield', '授权管理', '/consents', 'consents'),
      h('button', {class: 'plain-row link', type: 'button', test: 'log-out', onclick: logOut}, h('span', {class: 'with-icon'}, icon('person'), '退出登录，换一个人'), icon('next'))));
}

async function removePatient(page, patient) {
  if (!(await ask(`移除就诊人${patient.name}？`, '已有的订单和退款不受影响。', '移除'))) return;
  try {
    await api('DELETE', `/patients/${patient.id}`);
    if (session.patient === patient.id) session.patient = '';
  } catch (err) {
    toast(err.message, 'bad');
  }
  go(page.path);
}

// logOut ends the session here and there, and puts the phone down.
export async function logOut() {
  await api('DELETE', '/sessions/current').catch(() => {}); // the token is forgotten here in any case
  forget();
  go('/');
}

// capsuleMenu is the menu behind the capsule's dots.
export async function capsuleMenu() {
  const path = await sheet('menu', '更多', (close) => [
    [['首页', '/home'], ['缴费记录', '/records'], ['授权管理', '/consents']].map(([name, to]) => button(name, {kind: 'menu-item', press: () => close(to)})),
    button('取消', {kind: 'menu-item cancel', press: () => close()})]);
  if (path) go(path);
}

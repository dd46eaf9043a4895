// renew.js: an order whose insurance authorisation has ended is not lost. It waits for a new one, and goes on with it.

import {h, icon, button} from '../dom.js';
import {api, persist, Problem} from '../api.js';
import {banner, go} from '../view.js';
import {amount, billPath, clauses, openRefund} from '../text.js';
import {again, billsOf, countdown, draw, giveUp, tell} from './order.js';
import {bind} from './authorise.js';

// renewView is an order that waits for a new authorisation.
export function renewView(run, order) {
  const clock = h('p', {class: 'foot-note digits'});
  run.wantsCashier = false;
  run.page.show(run.said,
    h('section', {class: 'hero', test: 'renew'}, h('div', {class: 'hero-mark'}, icon('shield')), h('h2', {}, '请重新医保授权'),
      h('p', {class: 'state-text', 'data-test': 'state-text'}, clauses(order.state_text))),
    billsOf(order),
    h('section', {class: 'card plain-list'}, h('div', {class: 'plain-row'}, h('span', {}, '费用合计'), amount(order.total_fen))));
  run.page.foot(renewButton(run, '重新授权'), h('div', {class: 'foot-row'}, clock, giveUp(run)));
  countdown(run.page, clock, order.quoted_until, '内保留', '保留时间已到，正在更新…');
}

// renewButton authorises anew for this very order.
export function renewButton(run, label) {
  return button(label, {kind: 'primary blue', test: 'authorise-again', press: () => renew(run)});
}

// renew jumps, binds, and hands the order its new authorisation. The poll may see the effect before the answer comes, or when the answer is
// lost: then nothing is asked again.
async function renew(run) {
  const {version} = run.order;
  const seen = () => run.order.version > version && run.order.next_action !== 'authorise' && !openRefund(run.order)?.waits_for_authorisation;
  const waits = run.page.waits('没有扣款，正在重新确认。');
  run.said = null;
  try {
    const {patients} = await api('GET', '/patients', {signal: run.page.signal});
    const patient = patients.find((p) => p.id === run.order.patient_id);
    if (!patient) throw new Problem(404, {code: 'PATIENT_NOT_FOUND', detail: '没有找到该就诊人'});
    if (!(await bind(run.page, patient))) {
      if (run.page.gone) return;
      run.said = banner('info', '还没有完成医保授权，费用单仍为您保留。');
      again(run);
      return;
    }
    const order = await persist(() => (seen() ? run.order : api('POST', `/orders/${run.id}/authorisation`, {signal: run.page.signal})),
      {signal: run.page.signal, onWait: (problem) => waits(seen() ? null : problem)});
    if (order.version >= run.order.version) draw(run, order);
    run.rouse();
  } catch (err) {
    run.page.notice('');
    if (seen()) return;
    tell(run, err);
    if (err.code === 'ORDER_STATE' && !run.page.gone) run.page.foot(anew(run), giveUp(run)); // it cannot be taken up again
  }
}

// anew gives the order up and begins again with its bill.
function anew(run) {
  return button('重新发起缴费', {test: 'anew', press: async () => {
    try {
      await persist(() => api('POST', `/orders/${run.id}/cancel`), {signal: run.page.signal, onWait: run.page.waits('正在关闭原订单。')});
      go(billPath(run.order.bills));
    } catch (err) {
      tell(run, err);
    }
  }});
}

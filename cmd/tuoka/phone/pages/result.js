// result.js: how an order ended. A paid one says where to go next, in the largest type of the page.

import {h, icon, button} from '../dom.js';
import {go} from '../view.js';
import {amount, clauses, money, moment, paidBy} from '../text.js';
import {splitTable} from './split.js';
import {steps} from './order.js';

// resultView draws a completed, closed or unwound order.
export function resultView(run, order) {
  if (order.state === 'completed') completed(run.page, order);
  else ended(run.page, order);
}

function completed(page, order) {
  const insurer = paidBy(order.split, 'insurer');
  page.show(
    h('section', {class: 'hero done', test: 'result', 'data-state': order.state},
      h('div', {class: 'hero-mark good'}, icon('check')),
      h('h2', {'data-test': 'result-state'}, '缴费完成'),
      h('div', {class: 'paid'},
        order.charge_fen > 0 || insurer === 0 ? h('div', {}, h('span', {}, '微信支付'), amount(order.charge_fen, 'large', 'paid-wechat')) : null,
        insurer > 0 ? h('div', {}, h('span', {}, '医保支付'), amount(insurer, 'large', 'paid-insurer')) : null)),
    order.guide.length > 0 ? h('section', {class: 'card guide', test: 'guide'}, h('h3', {}, icon('pin'), '接下来去哪里'), h('ol', {}, order.guide.map((g) => h('li', {}, g)))) : null,
    h('section', {class: 'card plain-list'},
      order.receipt_no ? h('div', {class: 'plain-row'}, h('span', {}, '医院收据号'), h('span', {class: 'digits small', 'data-test': 'receipt-no'}, order.receipt_no)) : null,
      h('div', {class: 'plain-row'}, h('span', {}, '完成时间'), h('span', {class: 'digits small'}, moment(order.updated_at))),
      h('button', {class: 'plain-row link', type: 'button', test: 'receipt', onclick: () => go(`/order/${order.id}/receipt`)}, h('span', {}, '缴费凭证', h('small', {}, '可下载 PDF · 非发票')), icon('next'))),
    splitTable(order, order.insured && !order.refusal));
  page.foot(button('完成', {test: 'finish', press: () => go('/home')}));
}

function ended(page, order) {
  const back = order.payments.reduce((sum, p) => sum + p.refunded_fen, 0);
  page.show(
    h('section', {class: 'hero', test: 'result', 'data-state': order.state},
      h('div', {class: 'hero-mark off'}, icon(back > 0 ? 'undo' : 'close')),
      h('h2', {'data-test': 'result-state'}, back > 0 ? '已退回' : order.state === 'unwound' ? '已撤销' : '没有缴费'),
      h('p', {class: 'state-text', 'data-test': 'state-text'}, clauses(order.state_text)),
      back > 0 ? h('div', {class: 'paid'}, h('div', {}, h('span', {}, '原路退回'), amount(back, 'large', 'refunded'))) : null),
    steps(order),
    h('section', {class: 'card plain-list'},
      order.payments.filter((p) => p.refunded_at).map((p) => h('div', {class: 'plain-row'}, h('span', {}, '退款时间', h('small', {}, `微信商户单号 ${p.out_trade_no}`)), h('span', {class: 'digits small moment'}, moment(p.refunded_at)))),
      order.bills.map((b) => h('div', {class: 'plain-row'}, h('span', {}, b.department, h('small', {}, b.bill_no)), h('span', {class: 'digits'}, money(b.total_fen))))));
  const over = ['bill_paid_elsewhere', 'bill_void'].includes(order.cause);
  page.foot(over ? button('返回首页', {test: 'home', press: () => go('/home')}) :
    button('重新缴费', {test: 'anew', press: () => go(`/bill/${encodeURIComponent(order.bills[0].bill_no)}`)}),
  over ? null : button('返回首页', {kind: 'text', test: 'home', press: () => go('/home')}));
}

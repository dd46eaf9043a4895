// result.js: how an order ended. A paid one says where to go next, in the largest type of the page.

import {h, icon, button} from '../dom.js';
import {go} from '../view.js';
import {amount, billPath, clauses, givenBack, money, moment, openRefund, paidBy} from '../text.js';
import {splitTable} from './split.js';
import {steps} from './order.js';
import {refundCards, refundFoot} from './refund.js';

// resultView draws a completed, closed or unwound order.
export function resultView(run, order) {
  if (order.state === 'completed') completed(run, order);
  else ended(run.page, order);
}

// completed is a paid order, and what of it was given back or is about to be.
function completed(run, order) {
  const {page} = run;
  const insurer = paidBy(order.split, 'insurer');
  const going = Boolean(openRefund(order));
  const gone = givenBack(order);
  const wanted = refundFoot(run, order);
  const title = wanted ? '退费等您授权' : going ? '退费办理中' : gone === order.total_fen ? '已全部退费' : gone > 0 ? '已部分退费' : '缴费完成';
  page.show(run.said,
    h('section', {class: 'hero done', test: 'result', 'data-state': order.state},
      h('div', {class: `hero-mark ${going ? 'busy' : gone > 0 ? 'off' : 'good'}`}, going ? h('span', {class: 'spin huge'}) : icon(gone > 0 ? 'undo' : 'check')),
      h('h2', {'data-test': 'result-state'}, title),
      h('div', {class: 'paid'},
        order.charge_fen > 0 || insurer === 0 ? h('div', {}, h('span', {}, '微信支付'), amount(order.charge_fen, 'large', 'paid-wechat')) : null,
        insurer > 0 ? h('div', {}, h('span', {}, '医保支付'), amount(insurer, 'large', 'paid-insurer')) : null)),
    refundCards(order),
    order.guide.length > 0 && gone < order.total_fen ? h('section', {class: 'card guide', test: 'guide'}, h('h3', {}, icon('pin'), '接下来去哪里'), h('ol', {}, order.guide.map((g) => h('li', {}, g)))) : null,
    h('section', {class: 'card plain-list'},
      order.receipt_no ? h('div', {class: 'plain-row'}, h('span', {}, '医院收据号'), h('span', {class: 'digits small', 'data-test': 'receipt-no'}, order.receipt_no)) : null,
      h('div', {class: 'plain-row'}, h('span', {}, order.refunds.length > 0 ? '最近更新' : '完成时间'), h('span', {class: 'digits small'}, moment(order.updated_at))),
      h('button', {class: 'plain-row link', type: 'button', test: 'receipt', onclick: () => go(`/order/${order.id}/receipt`)}, h('span', {}, '缴费凭证', h('small', {}, '可下载 PDF · 非发票')), icon('next')),
      order.refundable && !going ? h('button', {class: 'plain-row link', type: 'button', test: 'ask-refund', onclick: () => go(`/order/${order.id}/refund`)}, h('span', {}, '申请退费', h('small', {}, '未发的药、没做的检查')), icon('next')) : null),
    splitTable(order, order.insured && !order.refusal));
  page.foot(wanted, button(going ? '先离开，稍后再看' : '完成', {kind: wanted || going ? 'secondary' : 'primary', test: 'finish', press: () => go('/home')}));
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
    button('重新缴费', {test: 'anew', press: () => go(billPath(order.bills))}),
  over ? null : button('返回首页', {kind: 'text', test: 'home', press: () => go('/home')}));
}

// receipt.js: the proof of payment (缴费凭证), which is not an invoice, on the page and as PDF.

import {h, icon, button} from '../dom.js';
import {api, persist} from '../api.js';
import {skeleton, toast} from '../view.js';
import {amount, clauses, nameOf, parts, stamp, yuan} from '../text.js';

// receiptPage reads the receipt of a completed order.
export async function receiptPage(page, {id}) {
  page.head('缴费凭证', `/order/${id}`);
  page.show(skeleton('text'));
  const r = await persist(() => api('GET', `/orders/${id}/receipt`, {signal: page.signal}), {signal: page.signal, onWait: page.waits('正在读取凭证。'), waits: [1, 2]});
  page.show(paper(r));
  page.foot(button([icon('download'), '下载 PDF'], {test: 'receipt-pdf', press: () => download(id)}));
}

const row = (name, value, cls = '') => h('div', {class: `paper-row ${cls}`}, h('dt', {}, name), h('dd', {}, value));

function paper(r) {
  return h('article', {class: 'paper', 'data-test': 'receipt-paper'},
    h('header', {}, h('p', {class: 'paper-hospital'}, r.hospital), h('h2', {}, r.title), h('p', {class: 'paper-note'}, clauses('仅证明缴费，不作报销凭证；电子票据请在医院自助机或小程序内开具'))),
    h('dl', {}, row('就诊人', r.patient_name), row('费用类型', r.bills[0].kind_text), row('医院收据号', r.receipt_no), row('医院流水号', r.posting_no), row('入账时间', stamp(r.posted_at))),
    h('table', {}, h('thead', {}, h('tr', {}, h('th', {scope: 'col'}, '科室 / 费用单'), h('th', {scope: 'col'}, '金额（元）'))),
      h('tbody', {}, r.bills.map((b) => h('tr', {}, h('td', {}, b.department, h('small', {}, b.bill_no)), h('td', {}, yuan(b.total_fen))))),
      h('tfoot', {}, h('tr', {}, h('th', {scope: 'row'}, '费用合计'), h('td', {}, yuan(r.total_fen))))),
    h('dl', {class: 'paper-split'}, parts.filter((p) => r.split[p.key] > 0).map((p) => row(nameOf(p, r.settlements.length > 0).name, yuan(r.split[p.key]))), row('微信实付', amount(r.charge_fen), 'strong')),
    h('dl', {class: 'paper-numbers'},
      r.payments.map((p) => [row('微信支付单号', p.transaction_id), row('商户单号', p.out_trade_no), row('支付时间', stamp(p.paid_at)), p.refunded_fen > 0 ? row('已退', yuan(p.refunded_fen)) : null]),
      r.mixed.map((m) => [row('微信医保订单号', m.mix_trade_no), row('医保商户单号', m.out_trade_no), row('医保支付时间', stamp(m.paid_at))]),
      r.settlements.map((s) => [row('医保结算ID', s.setl_id), row('门诊号', s.visit_no), row('结算时间', stamp(s.settled_at))]),
      row('订单号', r.order_id), row('开具时间', stamp(r.issued_at))));
}

async function download(id) {
  try {
    const blob = await api('GET', `/orders/${id}/receipt.pdf`, {raw: true});
    const url = URL.createObjectURL(new Blob([blob], {type: 'application/pdf'}));
    h('a', {href: url, download: `缴费凭证-${id}.pdf`}).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    toast('凭证已下载');
  } catch (err) {
    toast(err.message, 'bad');
  }
}

// text.js turns what the API says into what a patient reads: amounts, times, names of things.

import {h} from './dom.js';

// yuan writes fen as yuan: thousands grouped, always two decimals, no sign of currency. 123456789 → 1,234,567.89
export function yuan(fen) {
  const digits = String(Math.abs(fen)).padStart(3, '0');
  const whole = digits.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, ',');
  return `${fen < 0 ? '-' : ''}${whole}.${digits.slice(-2)}`;
}

// money is the text of an amount, as in a sentence or on a button.
export const money = (fen) => `¥${yuan(fen)}`;

// amount is an amount as an element; the size is '', 'large' or 'huge'. Long amounts step down so that they stay on one line.
export function amount(fen, size = '', test) {
  const text = yuan(fen);
  const long = text.length > 10 ? ' long' : '';
  return h('span', {class: `amount ${size}${long}`, test}, h('span', {class: 'yuan'}, '¥'), text);
}

// price trims a unit price of up to six decimals, keeping two: 26.4600 → 26.46, 0.7988 stays.
export function price(text) {
  const [whole, decimals = ''] = text.split('.');
  const kept = decimals.replace(/0+$/, '').padEnd(2, '0');
  return `${whole.replace(/\B(?=(\d{3})+$)/g, ',')}.${kept}`;
}

const zone = 'Asia/Shanghai';
const clockFormat = new Intl.DateTimeFormat('zh-CN', {timeZone: zone, hour: '2-digit', minute: '2-digit', hour12: false});
const dayFormat = new Intl.DateTimeFormat('zh-CN', {timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit'});

// hour is HH:MM in Beijing.
export const hour = (time) => clockFormat.format(new Date(time));

// day is 今天, 昨天 or YYYY-MM-DD in Beijing.
export function day(time, now = Date.now()) {
  const text = dayFormat.format(new Date(time));
  if (text === dayFormat.format(now)) return '今天';
  if (text === dayFormat.format(now - 86_400_000)) return '昨天';
  return text.replaceAll('/', '-');
}

// moment is a day and an hour: 今天 10:42.
export const moment = (time) => `${day(time)} ${hour(time)}`;

// stamp is a full time for a document: 2026-11-23 10:42.
export const stamp = (time) => `${dayFormat.format(new Date(time)).replaceAll('/', '-')} ${hour(time)}`;

// left says how much time is left: 9 分 05 秒; empty when it is over.
export function left(until, now = Date.now()) {
  const seconds = Math.floor((new Date(until) - now) / 1000);
  if (seconds <= 0) return '';
  const minutes = Math.floor(seconds / 60);
  return minutes > 0 ? `${minutes} 分 ${String(seconds % 60).padStart(2, '0')} 秒` : `${seconds} 秒`;
}

// clauses keeps a centred sentence from breaking inside a clause: 未扣款 stays on one line.
export const clauses = (text) => text.match(/[^，。；、]+[，。；、]*/g).map((c) => h('span', {class: 'clause'}, c));

export const relations = {self: '本人', child: '子女', parent: '父母', spouse: '配偶', other: '其他亲属'};

export const insurances = {employee: '职工医保', retired: '职工医保·退休', civil: '职工医保·公务员', resident: '居民医保', none: '未参保'};

// states are the order's states: a short name, and a colour for its label.
export const states = {
  quoting: {name: '预结算中', tone: 'busy'},
  quoted: {name: '待确认', tone: 'todo'},
  paying: {name: '待支付', tone: 'todo'},
  settling: {name: '医保结算中', tone: 'busy'},
  posting: {name: '医院入账中', tone: 'busy'},
  completed: {name: '已完成', tone: 'done'},
  closing: {name: '关闭中', tone: 'busy'},
  closed: {name: '已关闭', tone: 'off'},
  unwinding: {name: '退款中', tone: 'busy'},
  unwound: {name: '已退回', tone: 'off'},
  review: {name: '人工核实中', tone: 'warn'},
};

// openRefund is the refund of an order that is under way, if there is one.
export const openRefund = (order) => order.refunds.find((f) => ['asked', 'held', 'in_review'].includes(f.state));

// givenBack is how much of an order was given back.
export const givenBack = (order) => order.refunds.filter((f) => f.state === 'done').reduce((sum, f) => sum + f.total_fen, 0);

// kindTag is the badge of what a bill is for; ordinary outpatient fees have none.
export const kindTag = (bill) => (bill.kind === 'outpatient' ? null :
  h('span', {class: `tag ${bill.kind === 'deposit' ? 'green' : 'blue'}`, 'data-test': 'kind'}, bill.kind_text));

// billPath is the page of some bills: their numbers have no blanks.
export const billPath = (bills) => `/bill/${encodeURIComponent(bills.map((b) => b.bill_no).join(' '))}`;

// holds says until when the hospital keeps a bill: words for while it does, and after.
export const holds = (bill) => (bill.kind === 'registration' ? ['后释放号源', '号源已释放，请重新挂号'] : ['内缴费有效', '缴费时限已到']);

// stateOf is the state of an order as its label; one that waits for a new authorisation is the patient's to move.
export function stateOf(order) {
  const back = openRefund(order);
  if (order.next_action === 'authorise' || back?.waits_for_authorisation) return {name: '待重新授权', tone: 'todo'};
  if (order.state === 'closed' && order.payments.some((p) => p.refunded_fen > 0)) return states.unwound; // paid too late
  if (order.state !== 'completed') return states[order.state];
  if (back) return {name: '退费办理中', tone: 'busy'};
  const gone = givenBack(order);
  return gone === 0 ? states.completed : {name: gone === order.total_fen ? '已全部退费' : '已部分退费', tone: 'off'};
}

// together says that insurance and cash of an order move under one password: its insurance part went to the centre and was not refused.
export const together = (order) => !order.refusal && Boolean(order.settlements.at(-1)?.order_no);

// final says that nothing more happens by itself.
export const final = (order) => ['completed', 'closed', 'unwound'].includes(order.state) && !openRefund(order);

// parts are who pays what, in the order of the insurer's own statement.
export const parts = [
  {key: 'pooled_fund_fen', name: '医保统筹基金', by: 'insurer', always: true},
  {key: 'other_fund_fen', name: '其他基金', note: '公务员补助、大病、救助等', by: 'insurer'},
  {key: 'account_fen', name: '医保个人账户', by: 'insurer', always: true},
  {key: 'family_account_fen', name: '个人账户家庭共济', by: 'insurer'},
  {key: 'hospital_borne_fen', name: '医院负担', by: 'hospital'},
  {key: 'cash_fen', name: '个人自付', by: 'patient'},
  {key: 'uninsured_fen', name: '自费项目', note: '不在医保结算范围', by: 'patient'},
];

// nameOf is what a part is called; on a bill that is wholly paid in cash nothing was left out of an insurance.
export const nameOf = (part, insured) => (!insured && part.key === 'uninsured_fen' ? {name: '自费'} : part);

// paidBy sums the split by who pays: insurer, hospital or patient.
export const paidBy = (split, who) => parts.filter((p) => p.by === who).reduce((sum, p) => sum + split[p.key], 0);

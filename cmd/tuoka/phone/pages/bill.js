// bill.js: one bill, or several of one visit, with the lines, how to pay it, and the question to the insurer (预结算), which charges nothing.

import {h, icon, button} from '../dom.js';
import {api, persist, institutionHere, Problem} from '../api.js';
import {session, intent, settled} from '../session.js';
import {go, banner, skeleton, trouble} from '../view.js';
import {remedy} from '../problems.js';
import {amount, holds, kindTag, money, moment, price, yuan} from '../text.js';
import {countdown} from './order.js';

// enough is how long an authorisation must still live for a quote to make sense: the server keeps two minutes for the payment.
const enough = 3 * 60_000;

// joined reads the bills and puts them together as one. Those that are paid or void already fall away, unless none is left.
async function joined(page, no) {
  const read = (one) => persist(() => api('GET', `/patients/${session.patient}/bills/${encodeURIComponent(one)}`, {signal: page.signal}),
    {signal: page.signal, onWait: page.waits('正在向医院查询。'), waits: [1, 2]});
  const all = await Promise.all(no.split(' ').map(read));
  const open = all.filter((b) => b.state === 'unpaid');
  const bills = open.length > 0 ? open : all.slice(0, 1);
  const sum = (key) => bills.reduce((total, b) => total + b[key], 0);
  return {...bills[0], bill_no: bills.map((b) => b.bill_no).join(' '), count: bills.length, total_fen: sum('total_fen'), insured_fen: sum('insured_fen'),
    lines: bills.flatMap((b) => b.lines), pay_by: bills.map((b) => b.pay_by).filter(Boolean).sort()[0]};
}

// billPage shows the bill by category.
export async function billPage(page, {no, query}) {
  page.head('费用明细', '/home');
  page.show(skeleton('bill'));
  const [bill, institution] = await Promise.all([joined(page, no), institutionHere()]);
  const insurable = session.role.insurance !== 'none' && bill.insured_fen > 0;
  const ways = insurable && bill.state === 'unpaid' ? payWays(query.get('cash') === '1', institution.medical_insurance_pay) : null;
  const held = bill.pay_by && bill.state === 'unpaid' ? h('p', {class: 'bill-hold digits', 'data-test': 'pay-by'}) : null;
  page.show(
    h('section', {class: 'bill-head'},
      h('p', {class: 'bill-where'}, bill.department, kindTag(bill)), amount(bill.total_fen, 'huge', 'bill-total'),
      h('p', {class: 'bill-sub'}, `${bill.doctor}　${moment(bill.created_at)}`),
      bill.count > 1 ? h('p', {class: 'bill-sub', 'data-test': 'bill-count'}, `同一次就诊，${bill.count} 张费用单一起缴`) : null, held),
    bill.state === 'paid' ? banner('info', '这张费用单已经缴过费，无需重复缴费。') : null,
    bill.state === 'void' ? banner('info', '这张费用单已作废，请咨询开单科室。') : null,
    bill.kind === 'deposit' && bill.state === 'unpaid' ? banner('info', '住院预交金仅微信支付，不经医保；出院结算时多退少补。') : null,
    ways, lines(bill));
  if (held) countdown(page, held, bill.pay_by, ...holds(bill));
  if (bill.state === 'unpaid') page.foot(button('去缴费', {test: 'pay-bill', press: () => pay(page, bill.bill_no, insurable, ways)}));
  else page.foot(button('返回首页', {kind: 'secondary', test: 'home', press: () => go('/home')}));
}

function payWays(cash, joint) {
  const way = (value, checked, mark, name, note) => h('label', {class: 'way'},
    h('input', {type: 'radio', name: 'way', value, checked, test: `way-${value}`}),
    icon(mark), h('span', {class: 'way-text'}, h('strong', {}, name), h('small', {}, note)), h('span', {class: 'radio', 'aria-hidden': 'true'}));
  const account = h('label', {class: 'switch-row'}, h('span', {}, h('strong', {}, '使用医保个人账户'), h('small', {}, '余额先支付，不足的用微信')),
    h('input', {type: 'checkbox', role: 'switch', name: 'account', checked: true, class: 'switch', test: 'use-account'}));
  const box = h('fieldset', {class: 'card ways'}, h('legend', {}, '怎么支付'),
    way('insurance', !cash, 'shield', '医保 + 微信支付', joint ? '一次密码，同时支付' : '医保先付，其余用微信'), way('cash', cash, 'wallet', '全部自费', '不使用医保'), account);
  const draw = () => { account.hidden = box.querySelector('[value=cash]').checked; };
  box.addEventListener('change', draw);
  draw();
  return box;
}

function lines(bill) {
  const groups = new Map();
  for (const line of bill.lines) groups.set(line.category, [...(groups.get(line.category) || []), line]);
  return [
    [...groups].map(([category, list]) => h('section', {class: 'card lines'},
      h('div', {class: 'lines-head'}, h('h2', {}, category), amount(list.reduce((sum, l) => sum + l.total_fen, 0))),
      h('ul', {}, list.map((l) => h('li', {class: 'line'},
        h('div', {class: 'line-text'}, h('span', {class: 'line-name'}, l.name, l.uninsured && bill.kind !== 'deposit' ? h('span', {class: 'tag grey'}, '不进医保') : null),
          h('span', {class: 'line-sub'}, [l.spec, `¥${price(l.price_yuan)} × ${l.quantity}${l.unit ? ` ${l.unit}` : ''}`].filter(Boolean).join('　'))),
        h('span', {class: 'line-amount'}, yuan(l.total_fen))))))),
    h('section', {class: 'card sums'},
      bill.insured_fen !== bill.total_fen && bill.kind !== 'deposit' ? [
        h('div', {class: 'sum'}, h('span', {}, '进入医保结算'), h('span', {}, yuan(bill.insured_fen))),
        h('div', {class: 'sum'}, h('span', {}, '自费项目'), h('span', {}, yuan(bill.total_fen - bill.insured_fen)))] : null,
      h('div', {class: 'sum total'}, h('span', {}, `合计 ${bill.lines.length} 项`), amount(bill.total_fen))),
    bill.bill_no.split(' ').map((no) => h('p', {class: 'bill-no centre'}, `费用单号 ${no}`))];
}

async function pay(page, no, insurable, ways) {
  const chosen = ways?.querySelector('[name=way]:checked')?.value;
  const insurance = insurable && chosen === 'insurance';
  const account = insurance && ways.querySelector('[name=account]').checked;
  const quote = `/quote/${encodeURIComponent(no)}?insurance=${insurance ? 1 : 0}&account=${account ? 1 : 0}`;
  if (!insurance) {
    go(quote);
    return;
  }
  try {
    const cover = await api('GET', `/patients/${session.patient}/insurance-binding`, {signal: page.signal});
    const lives = cover.usable && new Date(cover.usable_until) - Date.now() > enough;
    go(lives ? quote : `/authorise?next=${encodeURIComponent(quote)}`);
  } catch (err) {
    if (err.name !== 'AbortError') page.failed(err, remedy(page, err, () => go(page.path)));
  }
}

// quotePage asks who pays what. The same wish keeps its Idempotency-Key through reloads and lost answers; a decided answer ends it.
export async function quotePage(page, {no, query}) {
  const insurance = query.get('insurance') === '1';
  const account = query.get('account') === '1';
  page.head(insurance ? '医保预结算' : '核对费用', `/bill/${encodeURIComponent(no)}`);
  page.show(waiting(page, insurance));
  const able = !session.oldWechat; // typeof wx.requestMedicalInsurancePay === 'function'
  const name = `quote ${session.patient} ${no} ${insurance} ${account} ${able}`;
  try {
    const order = await persist(() => api('POST', '/orders', {key: intent(name), signal: page.signal,
      body: {patient_id: session.patient, bill_nos: no.split(' '), insurance, use_account: account, medical_insurance: able}}),
    {signal: page.signal, onWait: page.waits('没有扣款，正在重新确认。')});
    settled(name);
    location.replace(`#/order/${order.id}`);
  } catch (err) {
    if (page.gone || err.name === 'AbortError') return;
    if (!(err instanceof Problem) || !err.passing) settled(name);
    page.head(insurance ? '医保预结算' : '核对费用', `/bill/${encodeURIComponent(no)}`);
    page.show(trouble(err));
    const cash = insurance && ['IDENTITY_MISMATCH', 'FAMILY_AUTH_UNSUPPORTED', 'INSURANCE_NOT_OFFERED', 'INSURANCE_NOT_BOUND', 'AUTH_EXPIRED', 'CONSENT_REQUIRED', 'CLIENT_TOO_OLD'].includes(err.code);
    page.foot(remedy(page, err, () => go(page.path)),
      cash ? button('自费缴费，不用医保', {kind: 'text', test: 'pay-cash', press: () => go(`/bill/${encodeURIComponent(no)}?cash=1`)}) : null);
  }
}

// waiting is the quote before its answer: the shape of what comes, and honestly how long it has taken.
export function waiting(page, insured) {
  const begun = Date.now();
  const passed = h('span', {class: 'digits'}, '0');
  const hint = h('p', {class: 'hint'}, insured ? '一般几秒钟就有结果。' : '');
  page.every(1000, () => {
    const seconds = Math.round((Date.now() - begun) / 1000);
    passed.textContent = seconds;
    if (seconds >= 8) hint.textContent = '比平时慢一些，仍在等待答复。可以先离开，回来后从首页继续。';
  });
  return h('section', {class: 'asking', test: 'waiting'},
    h('div', {class: 'asking-line', role: 'status'}, h('span', {class: 'spin big'}), h('h2', {}, insured ? '正在请医保核算谁付多少' : '正在向医院核对费用')),
    h('p', {class: 'asking-sub'}, '这一步不扣款 · 已等待 ', passed, ' 秒'), hint, skeleton('split'));
}

// charge is what a button says about the amount to pay.
export const charge = (order) => (order.charge_fen > 0 ? `微信支付 ${money(order.charge_fen)}` : '由医保支付');

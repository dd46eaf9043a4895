// order.js: one order from the quote to the receipt. The page shows what the API's resource says and follows it by long poll; what it
// offers is the resource's next_action.

import {h, icon, button} from '../dom.js';
import {api, persist, sleep, hospitalHere, Problem} from '../api.js';
import {session, intent, settled, typed} from '../session.js';
import {go, ask, banner, skeleton, toast} from '../view.js';
import {remedy} from '../problems.js';
import {cashier, medCashier} from '../wechat.js';
import {amount, clauses, final, kindTag, left, moment, money, paidBy, stateOf, together, hour} from '../text.js';
import {waiting, charge} from './bill.js';
import {renewButton, renewView} from './renew.js';
import {splitBar, splitTable} from './split.js';
import {resultView} from './result.js';

const titles = {quoting: '医保预结算', quoted: '确认支付', paying: '支付', completed: '缴费结果', closed: '缴费结果', unwound: '缴费结果'};

// orderPage follows the order until nothing more happens by itself.
export async function orderPage(page, {id}) {
  page.head('缴费', '/home');
  page.show(skeleton('split'));
  const run = {page, id, order: null, stands: '', wantsCashier: false, said: null, rouse: () => {}, asked: null};
  for (let quiet = 0; !page.gone;) {
    const seen = run.order?.version || 0;
    const begun = performance.now();
    const order = await persist(() => api('GET', `/orders/${id}?wait=${seen ? 20 : 0}&version=${seen}`, {signal: page.signal}),
      {signal: page.signal, onWait: page.waits('结果以医院为准，请勿重复支付。'), waits: [1, 2, 4, 8, 8, 8, 15, 15, 15]});
    if (page.gone) return;
    if (order.version >= (run.order?.version || 0)) draw(run, order);
    if (final(order)) return;
    const stands = [order.state, order.next_action, ...order.progress.map((s) => s.status), ...order.refunds.map((f) => f.state_text)].join();
    quiet = stands === run.stands && performance.now() - begun < 1500 ? quiet + 1 : 0;
    run.stands = stands;
    if (quiet) await rest(run, Math.min(700 * quiet, 5000)); // a quick answer without news: the other side is being asked, do not press
  }
}

// rest pauses the poll until the time is over, the page is left, or something happened on the phone.
async function rest(run, ms) {
  const pause = new AbortController();
  run.rouse = () => pause.abort();
  run.page.signal.addEventListener('abort', run.rouse, {once: true});
  await sleep(ms, pause.signal).catch(() => {});
}

// draw shows the order as it is now, unless it is shown already.
export function draw(run, order) {
  const {page} = run;
  const same = run.order && run.order.version === order.version && run.order.state === order.state && run.order.next_action === order.next_action;
  run.order = order;
  if (!['quoted', 'quoting'].includes(order.state)) run.asked?.abort(); // the confirmation had its effect
  if (same && !run.redraw) return;
  run.redraw = false;
  page.head(titles[order.state] || '办理中', '/home');
  const views = {quoting: order.next_action === 'authorise' ? renewView : quotingView, quoted: quotedView, paying: payingView, completed: resultView, closed: resultView, unwound: resultView};
  const agreed = order.state === 'quoted' && order.next_action !== 'confirm'; // the consent is given, the bills are being locked
  ((!agreed && views[order.state]) || movingView)(run, order);
}

// again draws the same order once more: something was said about it.
export function again(run) {
  run.redraw = true;
  draw(run, run.order);
}

// tell shows a problem of an action above the page, with its remedy below.
export function tell(run, err) {
  if (run.page.gone || err.name === 'AbortError') return;
  run.said = h('div', {}, banner(err.passing ? 'warn' : 'bad', err.message, err.requestID ? h('p', {class: 'request-id'}, `请求编号 ${err.requestID}`) : null));
  again(run);
  if (['AUTH_EXPIRED', 'AUTH_USED', 'INSURANCE_NOT_BOUND'].includes(err.code)) run.page.foot(renewButton(run, '重新授权并核算'), giveUp(run));
  else if (['CONSENT_REQUIRED', 'GUARDIAN_CONSENT_REQUIRED'].includes(err.code)) run.page.foot(remedy(run.page, err), giveUp(run));
}

function quotingView(run, order) {
  run.page.show(run.said, waiting(run.page, order.insured), h('p', {class: 'state-text centre'}, clauses(order.state_text)));
  run.page.foot(giveUp(run));
}

// quotedView is the split: who pays what, then one button with the amount on it.
function quotedView(run, order) {
  const {page} = run;
  const insured = order.insured && !order.cash_offered;
  const insurer = paidBy(order.split, 'insurer');
  const clock = h('p', {class: 'foot-note digits'});
  const confirm = button(order.charge_fen > 0 ? `确认，${charge(order)}` : '确认，由医保支付', {test: 'confirm', press: () => confirmed(run)});
  const cash = order.cash_offered ? h('label', {class: 'tick card'}, h('input', {type: 'checkbox', test: 'accept-cash', onchange: (e) => { confirm.disabled = !e.target.checked; }}),
    h('span', {}, '我同意这次不使用医保，', h('strong', {}, money(order.charge_fen)), ' 全部由我自费')) : null;
  confirm.disabled = order.cash_offered;
  page.show(run.said,
    order.cash_offered ? banner('warn', '医保没有受理这张费用单', h('p', {class: 'refusal', 'data-test': 'refusal'}, order.refusal), h('p', {}, '可以改为自费，也可以到窗口用医保结算。')) : null,
    h('section', {class: 'split-hero'},
      h('p', {}, order.charge_fen > 0 ? '您用微信支付' : '您无需支付'), amount(order.charge_fen, 'huge', 'charge'),
      insured ? h('p', {class: 'hero-sub'}, '医保支付 ', h('strong', {}, money(insurer)), `　费用合计 ${money(order.total_fen)}`) : h('p', {class: 'hero-sub'}, `费用合计 ${money(order.total_fen)}，全部自费`),
      splitBar(order.split, order.total_fen)),
    splitTable(order, insured), cash, billsOf(order),
    insured ? h('p', {class: 'hint centre'}, clauses(caution(order))) : null);
  page.foot(confirm, h('div', {class: 'foot-row'}, clock, giveUp(run)));
  countdown(page, clock, order.quoted_until, '内确认有效', '报价已过期，正在更新…');
}

// caution says what the amounts of an insured order are worth, and what comes after the confirmation.
function caution(order) {
  if (!together(order)) return '以上是预结算金额。若医保结算时金额有变，会撤销并全额退回，请您重新确认。';
  if (order.charge_fen === 0) return '以上是预结算金额。确认后在微信里输一次密码，由医保支付，微信不扣款。';
  return '以上是预结算金额。确认后在微信里输一次密码，医保和微信同时支付；若医保没有结算，已扣的款会原路退回。';
}

// billsOf lists the bills of an order.
export function billsOf(order) {
  return h('section', {class: 'card plain-list'}, order.bills.map((b) => h('div', {class: 'plain-row'},
    h('span', {}, b.department, kindTag(b), h('small', {}, `${b.doctor}　${moment(b.created_at)}`)), amount(b.total_fen))));
}

// countdown writes every second how much time is left.
export function countdown(page, place, until, words, over) {
  if (!until) return;
  const write = () => {
    const text = left(until);
    place.textContent = text ? `${text}${words}` : over;
  };
  write();
  const stop = page.every(1000, () => (place.isConnected ? write() : stop()));
}

// confirmed sends the patient's consent to the amounts of this version. The poll may see its effect before the answer comes, or when the
// answer is lost; whoever sees it first opens the cashier.
async function confirmed(run) {
  const {version} = run.order;
  const name = `confirm ${run.id} ${version}`;
  const asked = new AbortController();
  run.page.signal.addEventListener('abort', () => asked.abort(), {once: true});
  run.said = null;
  run.wantsCashier = true;
  run.asked = asked;
  try {
    const order = await persist(() => api('POST', `/orders/${run.id}/confirm`, {key: intent(name), body: {version}, signal: asked.signal}),
      {signal: asked.signal, onWait: run.page.waits('正在确认，请勿重复操作。')});
    settled(name);
    if (order.version >= run.order.version) draw(run, order);
  } catch (err) {
    run.page.notice('');
    if (asked.signal.aborted) {
      settled(name);
      return;
    }
    run.wantsCashier = false;
    if (!(err instanceof Problem) || !err.passing) settled(name);
    if (err.code === 'ORDER_CHANGED' || err.code === 'ORDER_CONFIRMED') {
      run.order = await api('GET', `/orders/${run.id}`, {signal: run.page.signal}).catch(() => run.order);
    }
    tell(run, err);
  }
}

// attempt is the number of the payment in hand, the same for both legs of one password.
function attempt(order) {
  const made = order.pay_way === 'cash' ? order.payments.at(-1) : order.mixed.at(-1) || order.payments.at(-1);
  return made?.out_trade_no || '';
}

// ways are what the page says of each way to pay.
const ways = {
  cash: {title: '等待微信支付', label: (order) => `微信支付 ${money(order.charge_fen)}`},
  both: {title: '医保与微信，一次密码', label: (order) => `去支付，微信 ${money(order.charge_fen)}`},
  insurance: {title: '等待医保支付', label: () => '去支付，由医保支付'},
};

function payingView(run, order) {
  const {page} = run;
  const paid = typed(attempt(order));
  const way = ways[order.pay_way];
  if (!way || paid) {
    movingView(run, order, {paid, instead: way && paid ? '微信已受理您的付款，正在等待确认。请勿重复支付。' : ''});
    return;
  }
  const insurer = paidBy(order.split, 'insurer');
  const clock = h('p', {class: 'foot-note digits'});
  page.show(run.said, h('section', {class: 'hero'}, h('div', {class: 'hero-mark wait'}, icon('wallet')), h('p', {}, way.title), 
    order.pay_way === 'insurance' ? amount(insurer, 'huge', 'pay-insurer') : amount(order.charge_fen, 'huge', 'charge'),
    order.pay_way === 'both' ? h('p', {class: 'hero-sub'}, '另由医保支付 ', h('strong', {'data-test': 'pay-insurer'}, money(insurer))) : null,
    h('p', {class: 'hero-sub', 'data-test': 'state-text'}, clauses(order.state_text))), steps(order), billsOf(order));
  page.foot(button(way.label(order), {kind: 'primary wechat', test: 'pay', press: () => openCashier(run)}), h('div', {class: 'foot-row'}, clock, giveUp(run)));
  countdown(page, clock, order.pay_until, '内支付有效', '支付时间已到，正在更新…');
  if (run.wantsCashier) {
    run.wantsCashier = false;
    openCashier(run);
  }
}

// openCashier opens the cashier that the arguments are for. Where WeChat is too old for the one that is needed, the API says so; the other
// would leave the insurance unsettled.
async function openCashier(run) {
  const {page, order} = run;
  run.said = null;
  try {
    const [params, here] = await Promise.all([api('GET', `/orders/${run.id}/cashier?medical_insurance=${!session.oldWechat}`, {signal: page.signal}), hospitalHere()]);
    const goods = order.bills[0].kind_text;
    const sums = {insurance: paidBy(order.split, 'insurer'), cash: order.charge_fen};
    const ok = await (params.mixTradeNo ? medCashier(params, here.hospital, sums, goods) : cashier(params, here.hospital, order.charge_fen, goods));
    if (page.gone) return;
    if (ok) {
      typed(attempt(order), true);
      run.page.foot();
      run.rouse();
    }
    if (run.order.state === 'paying') again(run);
  } catch (err) {
    tell(run, err);
  }
}

const glyphs = {done: 'check', stopped: 'close'};

// steps are the way of the order, each with its state.
export function steps(order) {
  const words = {waiting: '未开始', doing: '进行中', done: '已完成', stopped: '已停止'};
  return h('ol', {class: 'steps card', test: 'steps'}, order.progress.map((s) => h('li', {class: `step ${s.status}`, 'data-step': s.step, 'data-status': s.status},
    h('span', {class: 'step-mark'}, glyphs[s.status] ? icon(glyphs[s.status]) : null), h('span', {class: 'step-text'}, s.text), h('span', {class: 'step-state'}, words[s.status]))));
}

// movingView is an order that goes on without the patient, or waits for people. paid: WeChat took the password; instead: what to say.
function movingView(run, order, {paid, instead} = {}) {
  const review = order.state === 'review';
  const back = order.state === 'unwinding';
  run.page.show(run.said,
    h('section', {class: 'hero', test: 'moving', 'data-state': order.state},
      h('div', {class: `hero-mark ${review ? 'warn' : 'busy'}`}, review ? icon('person') : back ? icon('undo') : h('span', {class: 'spin huge'})),
      h('h2', {}, order.state === 'paying' ? '正在确认支付' : stateOf(order).name), h('p', {class: 'state-text', role: 'status', 'data-test': 'state-text'}, clauses(instead || order.state_text))),
    steps(order),
    h('section', {class: 'card plain-list'},
      together(order) ? h('div', {class: 'plain-row'}, h('span', {}, '医保支付'), amount(paidBy(order.split, 'insurer'))) : null,
      h('div', {class: 'plain-row'}, h('span', {}, '微信支付'), amount(order.charge_fen)),
      h('div', {class: 'plain-row'}, h('span', {}, '费用合计'), amount(order.total_fen)),
      h('div', {class: 'plain-row'}, h('span', {}, '订单号'), h('span', {class: 'digits small'}, order.id)),
      h('div', {class: 'plain-row'}, h('span', {}, '最近更新'), h('span', {class: 'digits small'}, hour(order.updated_at)))));
  const cancellable = order.state === 'paying' && !paid;
  run.page.foot(button('先离开，稍后再看', {kind: 'secondary', test: 'leave', press: () => go('/home')}), cancellable ? giveUp(run) : null);
}

// giveUp is the way out where it makes sense; the bill stays.
export function giveUp(run) {
  return button('不缴了', {kind: 'text', test: 'cancel', press: async () => {
    if (!(await ask('放弃这次缴费？', '费用单会保留，之后还可以再缴。', '放弃', '继续缴费'))) return;
    try {
      run.said = null;
      const order = await persist(() => api('POST', `/orders/${run.id}/cancel`, {signal: run.page.signal}), {signal: run.page.signal, onWait: run.page.waits('正在取消。')});
      if (order.version >= run.order.version) draw(run, order);
    } catch (err) {
      if (err.code === 'ORDER_STATE') toast('订单已有新的进展，不能取消');
      else tell(run, err);
    }
  }});
}

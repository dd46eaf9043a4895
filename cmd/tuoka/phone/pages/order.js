// order.js: one order from the quote to the receipt. The page shows what the API's resource says and follows it by long poll; what it
// offers is the resource's next_action.

import {h, icon, button} from '../dom.js';
import {api, persist, sleep, aboutSandbox, Problem} from '../api.js';
import {intent, settled, typed} from '../session.js';
import {go, ask, banner, skeleton, toast} from '../view.js';
import {remedy} from '../problems.js';
import {cashier} from '../wechat.js';
import {amount, clauses, final, left, moment, money, paidBy, states, hour} from '../text.js';
import {waiting, charge} from './bill.js';
import {splitBar, splitTable} from './split.js';
import {resultView} from './result.js';

const titles = {quoting: '医保预结算', quoted: '确认支付', paying: '微信支付', completed: '缴费结果', closed: '缴费结果', unwound: '缴费结果'};

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
    const stands = [order.state, order.next_action, ...order.progress.map((s) => s.status)].join();
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

function draw(run, order) {
  const {page} = run;
  const same = run.order && run.order.version === order.version && run.order.state === order.state && run.order.next_action === order.next_action;
  run.order = order;
  if (!['quoted', 'quoting'].includes(order.state)) run.asked?.abort(); // the confirmation had its effect
  if (same && !run.redraw) return;
  run.redraw = false;
  page.head(titles[order.state] || '办理中', '/home');
  const views = {quoting: quotingView, quoted: quotedView, paying: payingView, completed: resultView, closed: resultView, unwound: resultView};
  const agreed = order.state === 'quoted' && order.next_action !== 'confirm'; // the consent is given, the bills are being locked
  ((!agreed && views[order.state]) || movingView)(run, order);
}

function again(run) {
  run.redraw = true;
  draw(run, run.order);
}

// tell shows a problem of an action above the page, with its remedy below.
function tell(run, err) {
  if (run.page.gone || err.name === 'AbortError') return;
  run.said = h('div', {}, banner(err.passing ? 'warn' : 'bad', err.message, err.requestID ? h('p', {class: 'request-id'}, `请求编号 ${err.requestID}`) : null));
  again(run);
  if (['AUTH_EXPIRED', 'INSURANCE_NOT_BOUND'].includes(err.code)) run.page.foot(anew(run, '重新授权并核算'));
  else if (['CONSENT_REQUIRED', 'GUARDIAN_CONSENT_REQUIRED'].includes(err.code)) run.page.foot(remedy(run.page, err), giveUp(run));
}

// anew gives this order up and begins again with its bill; a living authorisation is asked for on the way.
function anew(run, label) {
  return button(label, {test: 'anew', press: async () => {
    try {
      await persist(() => api('POST', `/orders/${run.id}/cancel`), {signal: run.page.signal, onWait: run.page.waits('正在关闭原订单。')});
      go(`/bill/${encodeURIComponent(run.order.bills[0].bill_no)}`);
    } catch (err) {
      tell(run, err);
    }
  }});
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
    insured ? h('p', {class: 'hint centre'}, clauses('以上是预结算金额。若医保结算时金额有变，会撤销并全额退回，请您重新确认。')) : null);
  page.foot(confirm, h('div', {class: 'foot-row'}, clock, giveUp(run)));
  countdown(page, clock, order.quoted_until, '内确认有效', '报价已过期，正在更新…');
}

function billsOf(order) {
  return h('section', {class: 'card plain-list'}, order.bills.map((b) => h('div', {class: 'plain-row'},
    h('span', {}, b.department, h('small', {}, `${b.doctor}　${moment(b.created_at)}`)), amount(b.total_fen))));
}

function countdown(page, place, until, words, over) {
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

function payment(order) { return order.payments.at(-1); }

function payingView(run, order) {
  const {page} = run;
  const made = payment(order);
  const paid = made && typed(made.out_trade_no);
  if (order.next_action !== 'pay' || paid) {
    movingView(run, order, paid ? '微信已受理您的付款，正在等待确认。请勿重复支付。' : '');
    return;
  }
  const clock = h('p', {class: 'foot-note digits'});
  page.show(run.said, h('section', {class: 'hero'}, h('div', {class: 'hero-mark wait'}, icon('wallet')), h('p', {}, '等待微信支付'), amount(order.charge_fen, 'huge', 'charge'),
    h('p', {class: 'hero-sub', 'data-test': 'state-text'}, clauses(order.state_text))), steps(order), billsOf(order));
  page.foot(button(`微信支付 ${money(order.charge_fen)}`, {kind: 'primary wechat', test: 'pay', press: () => openCashier(run)}), h('div', {class: 'foot-row'}, clock, giveUp(run)));
  countdown(page, clock, order.pay_until, '内支付有效', '支付时间已到，正在更新…');
  if (run.wantsCashier) {
    run.wantsCashier = false;
    openCashier(run);
  }
}

async function openCashier(run) {
  const {page, order} = run;
  run.said = null;
  try {
    const [params, about] = await Promise.all([api('GET', `/orders/${run.id}/cashier`, {signal: page.signal}), aboutSandbox()]);
    const ok = await cashier(params, about.hospital, order.charge_fen);
    if (page.gone) return;
    if (ok) {
      typed(payment(order).out_trade_no, true);
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

// movingView is an order that goes on without the patient, or waits for people.
function movingView(run, order, instead) {
  const review = order.state === 'review';
  const back = order.state === 'unwinding';
  run.page.show(run.said,
    h('section', {class: 'hero', test: 'moving', 'data-state': order.state},
      h('div', {class: `hero-mark ${review ? 'warn' : 'busy'}`}, review ? icon('person') : back ? icon('undo') : h('span', {class: 'spin huge'})),
      h('h2', {}, order.state === 'paying' ? '正在确认支付' : states[order.state].name), h('p', {class: 'state-text', role: 'status', 'data-test': 'state-text'}, clauses(instead || order.state_text))),
    steps(order),
    h('section', {class: 'card plain-list'},
      h('div', {class: 'plain-row'}, h('span', {}, '微信支付'), amount(order.charge_fen)),
      h('div', {class: 'plain-row'}, h('span', {}, '费用合计'), amount(order.total_fen)),
      h('div', {class: 'plain-row'}, h('span', {}, '订单号'), h('span', {class: 'digits small'}, order.id)),
      h('div', {class: 'plain-row'}, h('span', {}, '最近更新'), h('span', {class: 'digits small'}, hour(order.updated_at)))));
  const cancellable = order.state === 'paying' && !instead;
  run.page.foot(button('先离开，稍后再看', {kind: 'secondary', test: 'leave', press: () => go('/home')}), cancellable ? giveUp(run) : null);
}

// giveUp is the way out where it makes sense; the bill stays.
function giveUp(run) {
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

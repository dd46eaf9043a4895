// refund.js: giving an order back, wholly or in part, and what becomes of it: accepted, insurance returned, cash returned, each with its date.

import {h, icon, button} from '../dom.js';
import {api, persist, Problem} from '../api.js';
import {intent, settled} from '../session.js';
import {go, ask, banner, empty, skeleton} from '../view.js';
import {amount, clauses, money, moment, openRefund, yuan} from '../text.js';
import {renewButton} from './renew.js';

// refundPage offers what can be given back. The amounts are the API's own; what the page sums up is only what the patient sees beforehand.
export async function refundPage(page, {id}) {
  page.head('申请退费', `/order/${id}`);
  page.show(skeleton('bill'));
  const read = (path) => persist(() => api('GET', path, {signal: page.signal}), {signal: page.signal, onWait: page.waits('正在读取订单。'), waits: [1, 2]});
  const [order, left] = await Promise.all([read(`/orders/${id}`), read(`/orders/${id}/refundable`)]);
  if (left.lines.length === 0) {
    page.show(empty('undo', '没有可以退的项目', '这笔订单已全部退费，或正在退费。'));
    page.foot(button('返回订单', {kind: 'secondary', test: 'back', press: () => go(`/order/${id}`)}));
    return;
  }
  const wish = {id, whole: true, taken: new Map(), agreed: false}; // taken: place in left.lines → quantity
  const said = h('div', {});
  const list = items(left, wish, () => draw());
  const way = (value, mark, name, note) => h('label', {class: 'way'},
    h('input', {type: 'radio', name: 'what', value, checked: value === 'whole', test: `refund-${value}`, onchange: () => { wish.whole = value === 'whole'; draw(); }}),
    icon(mark), h('span', {class: 'way-text'}, h('strong', {}, name), h('small', {}, note)), h('span', {class: 'radio', 'aria-hidden': 'true'}));
  const anew = h('div', {});
  const send = button('', {test: 'refund-send', press: () => sendIt(page, wish, left, said)});
  const draw = () => {
    const {sum, some, exact, keeps} = wanted(left, wish);
    list.hidden = wish.whole;
    anew.replaceChildren(...(keeps ? [keptAgain(wish, draw)] : []));
    send.querySelector('.button-label').textContent = some ? `申请退费 ${exact ? '' : '约 '}${money(sum)}` : '请选择要退的项目';
    send.disabled = !some || (keeps && !wish.agreed);
  };
  page.show(said,
    h('fieldset', {class: 'card ways'}, h('legend', {}, '退什么'),
      way('whole', 'undo', '全部退费', order.refunds.some((f) => f.state === 'done') ? '退回剩余的全部' : '退回整张订单'),
      way('part', 'list', '退部分项目', '例如药房未发的药、没做的检查')),
    list, anew,
    h('p', {class: 'hint centre'}, clauses('已发的药、已做的检查不能在这里退，请到窗口。钱按支付时的路径退回：医保的退回医保，微信的退回微信。')));
  page.foot(send);
  draw();
}

// wanted sums up a wish: how much, whether anything, whether exactly, and whether something insured stays that must then be billed anew.
function wanted(left, wish) {
  const taken = (i) => (wish.whole ? left.lines[i].quantity : wish.taken.get(i));
  let sum = 0;
  let exact = true;
  let insured = false;
  let stays = false;
  left.lines.forEach((l, i) => {
    const quantity = taken(i);
    if (quantity !== l.quantity) stays = true;
    if (!quantity) return;
    const share = l.amount_fen * Number(quantity) / Number(l.quantity);
    sum += Math.round(share);
    if (!Number.isInteger(share)) exact = false;
    if (l.insured) insured = true;
  });
  return {sum, exact, some: sum > 0, keeps: left.whole_only && insured && stays};
}

// items are the lines to choose from. A quantity that can be counted in pieces can be taken in part.
function items(left, wish, changed) {
  return h('ul', {class: 'card give-back', test: 'refund-lines'}, left.lines.map((l, i) => {
    const most = Number(l.quantity);
    const pieces = Number.isInteger(most) && most > 1;
    const count = h('output', {class: 'count digits', 'aria-live': 'polite'}, l.quantity);
    const set = (n) => {
      count.textContent = n;
      wish.taken.set(i, String(n));
      less.disabled = n <= 1;
      plus.disabled = n >= most;
      changed();
    };
    const less = h('button', {class: 'step-button', type: 'button', 'aria-label': `少退一${l.unit || '份'}`, test: `refund-less-${i}`, onclick: () => set(Number(wish.taken.get(i)) - 1)}, '−');
    const plus = h('button', {class: 'step-button', type: 'button', 'aria-label': `多退一${l.unit || '份'}`, disabled: true, onclick: () => set(Number(wish.taken.get(i)) + 1)}, '+');
    const stepper = h('div', {class: 'stepper', hidden: true}, less, count, plus, h('span', {class: 'small'}, l.unit || '份'));
    const tick = (on) => {
      if (on) wish.taken.set(i, l.quantity);
      else wish.taken.delete(i);
      stepper.hidden = !on || !pieces;
      if (on && pieces) set(most);
      changed();
    };
    return h('li', {class: 'give-row'},
      h('label', {class: 'give-line'}, h('input', {type: 'checkbox', test: `refund-line-${i}`, onchange: (e) => tick(e.target.checked)}),
        h('span', {class: 'line-text'}, h('span', {class: 'line-name'}, l.name, l.insured ? null : h('span', {class: 'tag grey'}, '自费')),
          h('span', {class: 'line-sub'}, [l.spec, `可退 ${l.quantity}${l.unit ? ` ${l.unit}` : ''}`].filter(Boolean).join('　'))),
        h('span', {class: 'line-amount'}, yuan(l.amount_fen))),
      stepper);
  }));
}

// keptAgain asks for the consent that is needed where insurance goes back as a whole only.
function keptAgain(wish, changed) {
  return h('div', {class: 'kept-again'}, banner('warn', '这笔订单的医保只能整单退回',
    h('p', {}, '会先退回整张订单；您要保留的项目由医院重新开单，请您再缴一次。')),
  h('label', {class: 'tick card'}, h('input', {type: 'checkbox', test: 'kept-again', checked: wish.agreed, onchange: (e) => { wish.agreed = e.target.checked; changed(); }}),
    h('span', {}, '我知道了，保留的项目我会重新缴费')));
}

async function sendIt(page, wish, left, said) {
  const {keeps} = wanted(left, wish);
  if (!(await ask('申请退费？', '医院同意后，钱会按支付时的路径退回，退费后不能撤回。', '申请退费', '再想想')) || page.gone) return;
  const lines = [...wish.taken].map(([i, quantity]) => ({bill_no: left.lines[i].bill_no, line_no: left.lines[i].line_no, ...(quantity !== left.lines[i].quantity && {quantity})}));
  const body = {whole: wish.whole, ...(!wish.whole && {lines}), ...(keeps && {kept_again: true})};
  const name = `refund ${wish.id} ${JSON.stringify([body, left])}`; // what is left changes with every refund: the same wish later is another
  said.replaceChildren();
  try {
    await persist(() => api('POST', `/orders/${wish.id}/refunds`, {key: intent(name), body, signal: page.signal}),
      {signal: page.signal, onWait: page.waits('正在受理退费，请勿重复申请。')});
    settled(name);
    location.replace(`#/order/${wish.id}`);
  } catch (err) {
    if (page.gone || err.name === 'AbortError') return;
    page.notice('');
    if (!(err instanceof Problem) || !err.passing) settled(name);
    said.replaceChildren(banner(err.passing ? 'warn' : 'bad', err.message, err.requestID ? h('p', {class: 'request-id'}, `请求编号 ${err.requestID}`) : null));
    said.scrollIntoView({block: 'nearest'});
  }
}

const marks = {done: 'check', stopped: 'close'};
const words = {waiting: '未开始', doing: '进行中', stopped: '已停止'};

// stages are how far a refund is: a row for each part that takes part in it, with its date. Until the insurer has counted the rest, all may.
function stages(f, insured) {
  const over = ['done', 'refused'].includes(f.state);
  const rows = [['已受理', f.asked_at]];
  if (f.insurance_at || f.insurance_fen > 0 || (insured && f.insurance_fen === undefined && !over)) rows.push([f.insurance_fen > 0 ? `医保退回 ${money(f.insurance_fen)}` : '医保退回', f.insurance_at]);
  if (f.cash_at || f.cash_fen > 0 || !over) rows.push([f.cash_fen > 0 ? `微信退回 ${money(f.cash_fen)}` : '微信退回', f.cash_at]);
  if (f.state === 'refused') rows.push(['未予退费', f.done_at]);
  let doing = !over;
  return rows.map(([text, at]) => {
    const status = at ? (f.state === 'refused' && at === f.done_at ? 'stopped' : 'done') : over ? 'stopped' : doing ? 'doing' : 'waiting';
    if (status === 'doing') doing = false;
    return {text, at, status};
  });
}

// refundCards are the refunds of an order, the newest first.
export function refundCards(order) {
  return [...order.refunds].reverse().map((f) => h('section', {class: 'card refund', test: 'refund', 'data-state': f.state},
    h('div', {class: 'lines-head'}, h('h2', {}, f.whole ? '全部退费' : '部分退费'), amount(f.total_fen, '', 'refund-total')),
    h('p', {class: 'refund-text', 'data-test': 'refund-text', role: 'status'}, f.state_text),
    h('ol', {class: 'steps inner'}, stages(f, order.insured && !order.refusal).map((s) => h('li', {class: `step ${s.status}`},
      h('span', {class: 'step-mark'}, marks[s.status] ? icon(marks[s.status]) : null), h('span', {class: 'step-text'}, s.text),
      h('span', {class: 'step-state digits'}, s.at ? moment(s.at) : words[s.status])))),
    f.whole && f.lines.every((l) => !l.kept) ? null : h('details', {class: 'refund-lines'}, h('summary', {}, `退费项目 ${f.lines.filter((l) => !l.kept).length} 项`),
      h('ul', {}, f.lines.map((l) => h('li', {class: 'line'}, h('span', {class: 'line-text'}, h('span', {class: 'line-name'}, l.name, l.kept ? h('span', {class: 'tag amber'}, '保留，重新缴费') : null),
        h('span', {class: 'line-sub'}, `${l.quantity}${l.unit ? ` ${l.unit}` : ''}`)), h('span', {class: 'line-amount'}, yuan(l.amount_fen)))))),
    h('p', {class: 'bill-no'}, `退费单号 ${f.id}`)));
}

// refundFoot is what an order with a refund asks of the patient: an authorisation, or nothing.
export function refundFoot(run, order) {
  return openRefund(order)?.waits_for_authorisation ? renewButton(run, '重新医保授权') : null;
}

// home.js: the bills to pay, the order to go on with, and whose they are.

import {h, icon, button} from '../dom.js';
import {api, persist, hospitalHere, institutionHere} from '../api.js';
import {session} from '../session.js';
import {go, skeleton, empty, sheet, trouble} from '../view.js';
import {remedy} from '../problems.js';
import {amount, billPath, holds, hour, kindTag, moment, relations, stateOf} from '../text.js';
import {countdown} from './order.js';
import {nextStep} from './start.js';

// chosen is the patient whose bills are shown: the one last chosen, else the first.
export function chosen(patients) {
  return patients.find((p) => p.id === session.patient) || patients[0];
}

// homePage reads patients first, then everything else at once.
export async function homePage(page) {
  if (!session.role) {
    go('/');
    return;
  }
  page.head((await hospitalHere()).hospital);
  page.tab('pay');
  page.show(skeleton('list'));
  const {patients} = await api('GET', '/patients', {signal: page.signal});
  const patient = chosen(patients);
  if (!patient) {
    go(await nextStep());
    return;
  }
  session.patient = patient.id;
  const places = {person: h('div', {}, personCard(patients, patient, null)), live: h('div', {}), bills: h('div', {}, skeleton('list'))};
  page.show(places.person, places.live,
    h('div', {class: 'section-head'}, h('h2', {}, '待缴费'), button([icon('refresh'), '刷新'], {kind: 'inline', test: 'refresh', press: () => bills(page, patient, places.bills)})),
    places.bills);
  await Promise.all([coverage(page, patients, patient, places.person), live(page, places.live), bills(page, patient, places.bills)]);
}

function personCard(patients, patient, cover) {
  const insured = session.role.insurance !== 'none';
  let state = null;
  if (insured && cover) {
    state = cover.usable ?
      h('div', {class: 'cover-line good'}, icon('shield'), h('span', {}, `医保已授权，${hour(cover.usable_until)} 前有效`)) :
      h('button', {class: 'cover-line', type: 'button', test: 'home-authorise', onclick: () => go('/authorise?next=/home')}, icon('shield'),
        h('span', {}, cover.bound ? '医保授权已过期' : '还没有医保授权'), h('span', {class: 'cover-go'}, '去授权', icon('next')));
  } else if (insured) {
    state = h('div', {class: 'cover-line'}, icon('shield'), h('span', {class: 'bone w40'}));
  }
  return h('section', {class: 'person card'},
    h('div', {class: 'person-head'}, h('span', {class: `avatar ${session.role.insurance}`, 'aria-hidden': 'true'}, [...patient.name][0]),
      h('div', {class: 'person-text'}, h('h2', {}, patient.name, h('span', {class: 'tag grey'}, relations[patient.relation])), h('p', {class: 'digits'}, patient.id_number)),
      patients.length > 1 ? button('切换', {kind: 'inline', test: 'switch-patient', press: () => switchPatient(patients, patient)}) : null), state);
}

async function switchPatient(patients, now) {
  const id = await sheet('menu', '切换就诊人', (close) => [
    patients.map((p) => button(`${p.name}（${relations[p.relation]}）`, {kind: 'menu-item', press: () => close(p.id)})),
    button('取消', {kind: 'menu-item cancel', press: () => close()})]);
  if (!id || id === now.id) return;
  session.patient = id;
  go('/home');
}

async function coverage(page, patients, patient, place) {
  if (session.role.insurance === 'none') return;
  try {
    const cover = await api('GET', `/patients/${patient.id}/insurance-binding`, {signal: page.signal});
    place.replaceChildren(personCard(patients, patient, cover));
  } catch (err) {
    if (err.name !== 'AbortError') place.replaceChildren(personCard(patients, patient, null));
  }
}

async function live(page, place) {
  try {
    const order = await api('GET', '/orders/live', {signal: page.signal});
    place.replaceChildren(h('button', {class: 'live card', type: 'button', test: 'live', onclick: () => go(`/order/${order.id}`)},
      h('span', {class: 'live-mark'}, icon('clock')),
      h('span', {class: 'live-text'}, h('strong', {}, '继续上次的缴费'), h('span', {}, `${order.bills[0]?.department || '门诊'} · ${stateOf(order).name}`)),
      amount(order.total_fen), icon('next')));
  } catch {
    place.replaceChildren(); // none, or not to be known now; the bills below say what matters
  }
}

async function bills(page, patient, place) {
  try {
    const [list, institution] = await Promise.all([persist(() => api('GET', `/patients/${patient.id}/bills`, {signal: page.signal}),
      {signal: page.signal, onWait: page.waits('正在向医院查询。'), waits: [1, 2]}), institutionHere()]);
    if (page.gone) return;
    if (list.bills.length === 0) {
      place.replaceChildren(empty('check', '没有待缴的费用', '医院刚刚答复：您没有待缴费用单。'));
      return;
    }
    place.replaceChildren(h('ul', {class: 'bills'}, visits(list.bills, institution.per_visit).map((of) => (of.length > 1 ? visitCard(page, of) : h('li', {}, billCard(page, of[0], 'card'))))));
  } catch (err) {
    if (err.name === 'AbortError') return;
    place.replaceChildren(h('div', {class: 'card'}, trouble(err), remedy(page, err, () => bills(page, patient, place))));
  }
}

// visits groups the bills that can be paid together: of one visit, for the same, none of them being paid now. The first of a group says where it stands.
function visits(bills, perVisit) {
  const groups = new Map();
  for (const bill of bills) {
    const name = perVisit && bill.visit_no && !bill.locked ? `${bill.kind} ${bill.visit_no}` : `bill ${bill.bill_no}`;
    groups.set(name, [...(groups.get(name) || []), bill]);
  }
  return [...groups.values()];
}

function visitCard(page, bills) {
  const total = bills.reduce((sum, b) => sum + b.total_fen, 0);
  return h('li', {class: 'visit card', 'data-test': 'visit'},
    h('p', {class: 'visit-head'}, `同一次就诊，${bills.length} 张费用单`), bills.map((b) => billCard(page, b, 'row')),
    button(['一起缴费 ', amount(total, '', 'visit-total')], {kind: 'secondary', test: 'pay-visit', press: () => go(billPath(bills))}));
}

function billCard(page, bill, look) {
  const clock = bill.pay_by ? h('span', {class: 'bill-hold digits', 'data-test': 'pay-by'}) : null;
  if (clock) setTimeout(() => countdown(page, clock, bill.pay_by, ...holds(bill)));
  return h('button', {class: `bill ${look}`, type: 'button', test: 'bill', 'data-bill': bill.bill_no, onclick: () => go(billPath([bill]))},
    h('span', {class: 'bill-main'},
      h('span', {class: 'bill-name'}, bill.department, kindTag(bill), bill.locked ? h('span', {class: 'tag amber'}, '缴费中') : null),
      h('span', {class: 'bill-sub'}, `${bill.doctor}　${moment(bill.created_at)}`),
      bill.kind === 'deposit' ? h('span', {class: 'bill-sub'}, '仅微信支付') : null, clock,
      h('span', {class: 'bill-no'}, bill.bill_no)),
    amount(bill.total_fen), icon('next'));
}

// start.js: who holds the phone, and the mini program's first page.

import {h, icon, button} from '../dom.js';
import {api, sandbox, aboutSandbox, hospitalHere, login} from '../api.js';
import {session, forget} from '../session.js';
import {go, skeleton, banner, empty} from '../view.js';
import {clauses, insurances} from '../text.js';

// rolesPage lets the player choose a person. It is the sandbox's, not the mini program's.
export async function rolesPage(page) {
  if (session.token && session.role) {
    go(await resume());
    return;
  }
  page.head('选择医院和人物');
  page.show(skeleton('list'));
  const [{hospitals}, here] = await Promise.all([aboutSandbox(), hospitalHere()]);
  const roles = await rolesOf(here);
  if (roles.length === 0) {
    page.show(empty('person', '没有人物', '沙箱的配置里没有写人物，见 configs/sandbox.yaml。'));
    return;
  }
  page.show(
    hospitals.length > 1 ? hospitalChoice(page, hospitals, here) : null,
    h('div', {class: 'lead'}, h('h2', {}, '今天由谁来缴费？'), h('p', {}, clauses('参保情况不同，缴费的走法也不同。人物都是虚构的。'))),
    h('ul', {class: 'roles'}, roles.map((role) => h('li', {}, h('button', {
      class: 'role card', type: 'button', test: `role-${role.user}`, onclick: () => go(`/welcome/${encodeURIComponent(role.user)}`)},
    h('span', {class: `avatar ${role.insurance}`, 'aria-hidden': 'true'}, [...role.name][0]),
    h('span', {class: 'role-text'},
      h('span', {class: 'role-name'}, role.name, h('span', {class: `tag ${role.insurance === 'none' ? 'grey' : 'blue'}`}, insurances[role.insurance] || role.insurance)),
      h('span', {class: 'role-story'}, role.story)),
    icon('next'))))));
}

const rolesOf = (hospital) => sandbox('GET', `/roles?institution=${encodeURIComponent(hospital.institution)}`);

// wayOf says how one pays at a hospital.
const wayOf = ({together}) => (together ? '一次密码混合支付：医保与微信同时完成' : '分步支付：微信先付，医保随后结算');

function hospitalChoice(page, hospitals, here) {
  return h('fieldset', {class: 'card ways hospitals'}, h('legend', {}, '在哪家医院缴费'), hospitals.map((one) => {
    const chosen = one.institution === here.institution;
    return h('label', {class: 'way', test: `hospital-${one.institution}`, 'data-chosen': String(chosen)},
      h('input', {type: 'radio', name: 'hospital', value: one.institution, checked: chosen, onchange: () => {
        session.hospital = one.institution;
        go(page.path);
      }}),
      icon('hospital'), h('span', {class: 'way-text'}, h('strong', {}, one.hospital), h('small', {}, wayOf(one))),
      h('span', {class: 'radio', 'aria-hidden': 'true'}));
  }));
}

// resume finds where a reloaded page goes on: the live order, or the next thing to do.
async function resume() {
  try {
    return `/order/${(await api('GET', '/orders/live')).id}`;
  } catch (err) {
    if (err.code === 'ORDER_NOT_FOUND') return nextStep();
    return '/home';
  }
}

// nextStep is what still stands between the person and the bills: a consent, a patient, or nothing.
export async function nextStep() {
  const {consents} = await api('GET', '/consents');
  const open = (kind) => consents.some((c) => c.text.kind === kind && !c.current);
  if (open('privacy')) return '/consent/privacy';
  if (open('insurance') && session.role.insurance !== 'none' && !session.withoutInsurance) return '/consent/insurance';
  const {patients} = await api('GET', '/patients');
  return patients.length === 0 ? '/patient' : '/home';
}

// welcomePage is the mini program before the login.
export async function welcomePage(page, {user}) {
  page.head('门诊缴费', '/');
  const here = await hospitalHere();
  const roles = await rolesOf(here);
  const role = roles.find((r) => r.user === user);
  if (!role) {
    go('/');
    return;
  }
  const said = h('div', {});
  page.show(
    h('section', {class: 'welcome'},
      h('div', {class: 'welcome-mark'}, icon('hospital')),
      h('h2', {}, here.hospital), h('p', {class: 'welcome-line'}, '门诊缴费，医保移动支付'),
      h('ul', {class: 'points'},
        h('li', {}, icon('shield'), h('div', {}, h('strong', {}, '不用带卡'), h('span', {}, '医保电子凭证在线授权，直接结算'))),
        h('li', {}, icon('bill'), h('div', {}, h('strong', {}, '谁付多少，先看清'), h('span', {}, here.together ? '确认之后一次密码，医保和微信同时支付' : '预结算不扣款，确认之后才支付'))),
        h('li', {}, icon('pin'), h('div', {}, h('strong', {}, '付完就知道去哪'), h('span', {}, '取药、检查的窗口写在结果页'))))), said);
  page.foot(button('微信一键登录', {test: 'login', press: async () => {
    said.replaceChildren();
    try {
      forget();
      session.role = role;
      await login(role);
      go(await nextStep());
    } catch (err) {
      said.replaceChildren(banner('bad', err.message));
    }
  }}), h('p', {class: 'foot-note'}, `以“${role.name}”的微信登录`));
}

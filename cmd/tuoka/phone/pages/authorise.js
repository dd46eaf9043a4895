// authorise.js: the way to the national insurance mini program and back with an authCode.

import {h, icon, button} from '../dom.js';
import {api, persist, institutionHere} from '../api.js';
import {session} from '../session.js';
import {go, banner, skeleton} from '../view.js';
import {remedy} from '../problems.js';
import {authorise, place} from '../wechat.js';
import {clauses} from '../text.js';
import {chosen} from './home.js';

// authorisePage explains the jump, makes it, and binds what comes back.
export async function authorisePage(page, {query}) {
  const next = query.get('next') || '/home';
  page.head('医保授权', next.startsWith('/quote/') ? next.split('?')[0].replace('/quote/', '/bill/') : next);
  page.show(skeleton('text'));
  const {patients} = await api('GET', '/patients', {signal: page.signal});
  const patient = chosen(patients);
  const said = h('div', {});
  page.show(h('section', {class: 'explain'},
    h('div', {class: 'explain-mark'}, icon('shield')),
    h('h2', {}, '请国家医保服务平台确认您的身份'),
    h('ol', {class: 'numbered'},
      h('li', {}, '打开“国家医保服务平台”小程序'),
      h('li', {}, `由它核验参保人是${patient.name}`),
      h('li', {}, '回到这里，就可以用医保支付')),
    h('p', {class: 'hint'}, clauses('授权几分钟内有效，只用于您发起的这次缴费。这一步不扣款。'))), said);
  const self = button('自费缴费，不用医保', {kind: 'text', test: 'without-insurance', press: () => go(next.startsWith('/bill/') ? `${next.split('?')[0]}?cash=1` : billOf(next))});
  page.foot(button('去授权', {kind: 'primary blue', test: 'authorise', press: () => jump(page, patient, next, said)}), next === '/home' ? null : self);
}

function billOf(next) {
  return next.startsWith('/quote/') ? `${next.split('?')[0].replace('/quote/', '/bill/')}?cash=1` : '/home';
}

// bind makes the jump and binds what comes back; false when the user came back with nothing, or the page was left meanwhile.
export async function bind(page, patient) {
  const [params, institution] = await Promise.all([api('GET', '/insurance/jump'), institutionHere()]);
  const code = await authorise(params, institution.name, patient, institution.family);
  if (page.gone || !code) return false;
  const location = await place();
  await persist(() => api('POST', `/patients/${patient.id}/insurance-binding`, {body: {auth_code: code, ...(location && {location})}}),
    {signal: page.signal, onWait: page.waits('正在核验身份。'), waits: [1, 2, 3]});
  session.withoutInsurance = false;
  return true;
}

async function jump(page, patient, next, said) {
  said.replaceChildren();
  try {
    if (await bind(page, patient)) go(next);
    else said.replaceChildren(banner('info', '还没有完成医保授权。可以再试一次，也可以自费缴费。'));
  } catch (err) {
    if (page.gone || err.name === 'AbortError') return;
    page.notice('');
    said.replaceChildren(banner(err.passing ? 'warn' : 'bad', err.message, err.requestID ? h('p', {class: 'request-id'}, `请求编号 ${err.requestID}`) : null));
    if (err.code === 'CONSENT_REQUIRED' || err.code === 'GUARDIAN_CONSENT_REQUIRED') said.append(remedy(page, err));
  }
}

// consent.js: each consent is read and given on its own page, and withdrawn as easily.

import {h, icon, button} from '../dom.js';
import {api, Problem} from '../api.js';
import {session, forget} from '../session.js';
import {go, skeleton, banner, ask, toast} from '../view.js';
import {remedy} from '../problems.js';
import {clauses, stamp} from '../text.js';
import {nextStep} from './start.js';

const names = {privacy: '用户服务与隐私协议', insurance: '医保信息授权书', guardian: '监护人同意书'};
const why = {
  privacy: '使用缴费服务之前，请阅读并决定是否同意。',
  insurance: '用医保支付，要把身份、就诊和费用信息交给医保经办机构。这需要您单独同意；不同意也可以自费缴费。',
  guardian: '为未满十四周岁的孩子缴费，需要监护人同意。',
};

function paragraphs(body) {
  return body.split('\n').map((line) => line.trim()).filter(Boolean).map((line) => {
    if (/^[一二三四五六七八九十]+、/.test(line)) return h('h3', {}, line);
    return h('p', {class: /^\d+\. /.test(line) ? 'item' : ''}, line);
  });
}

// consentPage shows one text in its present version.
export async function consentPage(page, {kind, query}) {
  const next = query.get('next');
  page.head(names[kind] || '授权书', next ? next.split('?')[0] : null);
  page.show(skeleton('text'));
  const {consents} = await api('GET', '/consents', {signal: page.signal});
  const consent = consents.find((c) => c.text.kind === kind);
  if (!consent) throw new Problem(404, {code: 'CONSENT_NOT_FOUND', detail: '没有该授权书'});
  const {text} = consent;
  const said = h('div', {});
  page.show(
    consent.current ? banner('good', `您已于 ${stamp(consent.given_at)} 同意这一版本。`) : h('p', {class: 'lead-line'}, clauses(why[kind])), said,
    h('article', {class: 'card text', 'data-test': 'consent-text'}, h('h2', {}, text.title), h('p', {class: 'version'}, `版本 ${text.version}`), paragraphs(text.body)));
  const onward = async () => go(next || await nextStep());
  if (consent.current) {
    page.foot(button('继续', {test: 'agree', press: onward}));
    return;
  }
  const agree = button('同意', {test: 'agree', press: async () => {
    try {
      await api('POST', '/consents', {body: {kind, version: text.version}});
      await onward();
    } catch (err) {
      said.replaceChildren(banner('bad', err.message));
      if (err.code === 'CONSENT_OUTDATED') page.foot(remedy(page, err));
    }
  }});
  page.foot(agree, decline(kind, next));
}

function decline(kind, next) {
  if (kind === 'insurance') {
    return button('暂不使用医保', {kind: 'text', test: 'decline', press: async () => {
      session.withoutInsurance = true;
      go(next?.startsWith('/bill/') ? next : await nextStep());
    }});
  }
  if (kind === 'guardian') return button('不同意', {kind: 'text', test: 'decline', press: () => go(next || '/home')});
  return button('不同意', {kind: 'text', test: 'decline', press: async () => {
    if (!(await ask('不同意就不能在这里缴费', '我们不会处理您的任何信息。您仍然可以到窗口缴费。', '退出', '再看看'))) return;
    forget();
    go('/');
  }});
}

// consentsPage is 授权管理: what was agreed to, when, and the way back.
export async function consentsPage(page) {
  page.head('授权管理', '/me');
  page.show(skeleton('list'));
  const {consents} = await api('GET', '/consents', {signal: page.signal});
  page.show(h('p', {class: 'lead-line'}, clauses('撤回后不再发起新的缴费，已缴费用的退款照常办理。')),
    consents.map((c) => h('section', {class: 'card consent', test: `consent-${c.text.kind}`},
      h('div', {class: 'row-head'}, h('h2', {}, c.text.title), h('span', {class: `tag ${c.current ? 'green' : 'grey'}`}, c.current ? '已同意' : '未同意')),
      h('p', {class: 'hint'}, c.given_at ? `同意于 ${stamp(c.given_at)}，版本 ${c.given_version}` : `现行版本 ${c.text.version}`),
      h('div', {class: 'row-actions'},
        button(c.current ? '查看' : '阅读并同意', {kind: 'small', test: `read-${c.text.kind}`, press: () => go(`/consent/${c.text.kind}?next=/consents`)}),
        c.current ? button('撤回同意', {kind: 'small danger', test: `withdraw-${c.text.kind}`, press: () => withdraw(page, c.text)}) : null))));
}

async function withdraw(page, text) {
  if (!(await ask(`撤回《${text.title}》`, '即刻停止新的缴费；已经缴的费用和退款不受影响。', '撤回', '不撤回'))) return;
  try {
    await api('DELETE', `/consents/${text.kind}`);
    toast('已撤回');
  } catch (err) {
    toast(err.message, 'bad');
  }
  go(page.path);
}

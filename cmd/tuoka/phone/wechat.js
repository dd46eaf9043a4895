// wechat.js plays the parts of WeChat that a mini program only calls: the jump to the national insurance mini program, the place where the
// phone is, and the two cashiers.

import {h, icon, button} from './dom.js';
import {sandbox, atHospital, hospitalHere, onPhone} from './api.js';
import {session} from './session.js';
import {sheet} from './view.js';
import {amount} from './text.js';

// me is the user of the phone as WeChat knows him: openids, place, relatives bound to the e-credential.
async function me() {
  return (await sandbox('GET', '/wechatmp/users')).find((u) => u.id === session.role.user);
}

// place is wx.getLocation: nothing when the user does not allow it.
export async function place() {
  if (session.noLocation) return null;
  const {longitude, latitude} = (await me()) || {};
  return longitude && latitude ? {longitude, latitude} : null;
}

// masked says whether a masked number of our API can be this one: 360***********1234.
const masked = (mask, number) => mask.length === number.length && [...mask].every((c, i) => c === '*' || c === number[i]);

// kin finds the patient, a relative, among those whom the user has bound, or as somebody of the sandbox whom he could bind.
async function kin(patient) {
  const [user, roles] = await Promise.all([me(), sandbox('GET', `/roles?institution=${encodeURIComponent(session.role.institution)}`)]);
  const fits = (person) => masked(patient.id_number, person.id_number);
  return {user, bound: user.relatives?.find(fits), other: roles.find((r) => r.user !== user.id && fits(r))};
}

async function bindKin({user, other}) {
  const relative = {family_id: `F${other.user}`, name: other.name, id_number: other.id_number};
  await sandbox('POST', '/wechatmp/users', {...user, relatives: [...(user.relatives || []), relative]});
  return relative;
}

// authorise is wx.navigateToMiniProgram to the national insurance platform. It answers the authCode, or nothing when the user came back
// without one. For a relative the user may authorise by the bound kinship (亲情付), where the hospital takes that.
export async function authorise(jump, hospital, patient, family) {
  const query = jump.path.slice(jump.path.indexOf('?') + 1);
  const found = family && patient.relation !== 'self' ? await kin(patient) : null;
  return sheet('miniapp', '国家医保服务平台', (close) => {
    const error = h('div', {class: 'sheet-error', role: 'alert', hidden: true});
    const tell = (text) => {
      error.textContent = text;
      error.hidden = false;
    };
    const choice = found ? kinChoice(found, tell) : null;
    const params = query.split('&').map((pair) => {
      const at = pair.indexOf('=');
      return h('div', {}, h('dt', {}, pair.slice(0, at)), h('dd', {}, pair.slice(at + 1)));
    });
    const agree = button('同意授权', {kind: 'primary blue', test: 'nhsa-agree', press: async () => {
      error.hidden = true;
      const relative = choice?.chosen();
      try {
        const {authCode} = await onPhone('/authorise', {user: session.role.user, query: relative ? `${query}&familyId=${relative}` : query});
        close(authCode);
      } catch (err) {
        tell(refusal(err.message));
      }
    }});
    return [
      h('header', {class: 'miniapp-head'},
        h('button', {class: 'back', type: 'button', 'aria-label': '返回医院小程序', onclick: () => close()}, icon('back')),
        h('h2', {}, '国家医保服务平台')),
      h('div', {class: 'miniapp-body'},
        h('div', {class: 'miniapp-mark'}, icon('shield')),
        h('p', {class: 'miniapp-ask'}, h('strong', {}, hospital), '申请获取'),
        h('p', {class: 'miniapp-what'}, '您的医保身份与本次支付授权'),
        h('ul', {class: 'ticks'},
          h('li', {}, icon('check'), found ? '核验您本人，以及您与亲属的绑定' : '核验您是参保人本人'),
          h('li', {}, icon('check'), '用于本次门诊费用的医保结算'),
          h('li', {}, icon('check'), '授权短时有效，到期自动失效')),
        choice?.box,
        h('dl', {class: 'facts'}, h('div', {}, h('dt', {}, '授权人'), h('dd', {}, session.role.name))),
        h('details', {class: 'params'}, h('summary', {}, '跳转参数（沙箱）'),
          h('dl', {}, h('div', {}, h('dt', {}, 'appId'), h('dd', {}, jump.appId)), params)),
        error),
      h('footer', {class: 'miniapp-foot'}, agree, button('拒绝', {kind: 'text', test: 'nhsa-refuse', press: () => close()})),
    ];
  });
}

// kinChoice asks for whom: a bound relative, or oneself.
function kinChoice(found, tell) {
  const list = h('div', {class: 'options'});
  const option = (value, name, note, checked) => h('label', {class: 'option'}, h('input', {type: 'radio', name: 'kin', value, checked, test: `kin-${value || 'self'}`}),
    h('span', {}, name, h('small', {}, note)));
  const draw = (relative) => list.replaceChildren(...[
    relative ? option(relative.family_id, relative.name, '用亲属的医保，亲情付', true) : null,
    option('', session.role.name, '用我自己的医保', !relative),
    !relative && found.other ? button(`绑定亲情账户：${found.other.name}（沙箱）`, {kind: 'inline', test: 'bind-kin', press: async () => {
      try {
        draw(await bindKin(found));
      } catch (err) {
        tell(err.message);
      }
    }}) : null].filter(Boolean));
  draw(found.bound);
  return {box: h('fieldset', {class: 'kin'}, h('legend', {}, '这次用谁的医保'), list), chosen: () => list.querySelector('input:checked').value};
}

function refusal(text) {
  if (text.includes('did not authorise')) return '您还没有激活医保电子凭证，不能使用医保支付。可以返回后选择自费缴费。';
  if (text.includes('jump parameter familyId')) return '没有绑定这位亲属，不能用其医保支付。';
  if (text.includes('jump parameter')) return `跳转参数有误：${text.replace(/^.*parameter (\S+) .*$/, '$1')}`;
  return text;
}

// cashier is wx.requestPayment: first what is paid to whom, then a password of six digits (any, in the sandbox). It answers true after
// WeChat said requestPayment:ok, and nothing when the user closed it.
export function cashier(params, merchant, fen, goods) {
  return till('微信支付', 'cashier-pay', [
    h('p', {class: 'cashier-merchant'}, merchant), amount(fen, 'huge', 'cashier-amount'),
    facts([['付款方式', '零钱（沙箱）'], ['商品', goods]])],
  {done: '支付成功', pay: () => atHospital('POST', '/wechatpay/pay', {...params, openid: session.role.openid})});
}

// medCashier is wx.requestMedicalInsurancePay: one bill, one password, the insurer's part and the cash. That WeChat took the call
// (requestMedicalInsurancePay:ok) does not tell what became of the payment.
export function medCashier(params, merchant, {insurance, cash}, goods) {
  const fen = (test, value) => amount(value, '', test);
  return till('医保支付', 'med-cashier-pay', [
    h('p', {class: 'cashier-merchant'}, merchant), amount(insurance + cash, 'huge', 'cashier-amount'),
    facts([['医保支付', fen('med-insurance', insurance)], ['微信支付', cash > 0 ? fen('med-cash', cash) : '不扣款'],
      cash > 0 ? ['付款方式', '零钱（沙箱）'] : null, ['商品', goods]])],
  {done: '已提交，请返回查看结果', pay: async () => {
    const {app_id: appId} = await hospitalHere();
    return atHospital('POST', '/wechatpay/pay-mixed', {...params, appId, openid: session.role.openid});
  }});
}

const facts = (rows) => h('dl', {class: 'facts'}, rows.filter(Boolean).map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));

// till is a cashier: what it shows, then the password.
function till(name, test, shown, deed) {
  return sheet('cashier', name, (close, box) => {
    const head = h('header', {class: 'cashier-head'},
      h('button', {class: 'cashier-close', type: 'button', 'aria-label': '关闭收银台', 'data-test': 'cashier-close', onclick: () => close()}, icon('close')),
      h('h2', {}, name));
    const next = h('div', {class: 'cashier-foot'}, button('立即支付', {kind: 'primary wechat', test, press: () => {
      next.replaceWith(password(deed, close, box));
      box.focus({preventScroll: true});
    }}));
    return [head, h('div', {class: 'cashier-body'}, shown), next];
  });
}

function password({pay, done}, close, box) {
  let digits = '';
  const dots = [0, 1, 2, 3, 4, 5].map(() => h('i', {}));
  const state = h('p', {class: 'password-hint', role: 'status'}, '请输入支付密码（沙箱：任意六位数字）');
  const draw = () => dots.forEach((dot, i) => dot.classList.toggle('on', i < digits.length));
  let paying = false;
  const enter = async () => {
    paying = true;
    state.className = 'password-hint';
    state.replaceChildren(h('span', {class: 'spin'}), '正在支付…');
    try {
      await pay();
      state.replaceChildren(icon('check'), done);
      setTimeout(() => close(true), 500);
    } catch (err) {
      digits = '';
      paying = false;
      draw();
      state.className = 'password-hint bad';
      state.replaceChildren(err.code === 'NETWORK' ? '没有收到微信的回答，请返回后查看结果，不要重复支付' : err.message);
    }
  };
  const type = (key) => {
    if (paying) return;
    if (key === 'Backspace') digits = digits.slice(0, -1);
    else if (/^\d$/.test(key) && digits.length < 6) digits += key;
    draw();
    if (digits.length === 6) enter();
  };
  box.addEventListener('typed', ({detail}) => type(detail.key));
  const keys = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '', '0', 'Backspace'].map((key) => {
    if (key === '') return h('span', {class: 'key blank', 'aria-hidden': 'true'});
    return h('button', {class: 'key', type: 'button', test: `key-${key}`, 'aria-label': key === 'Backspace' ? '删除' : key, onclick: () => type(key)},
      key === 'Backspace' ? icon('backspace') : key);
  });
  return h('div', {class: 'password'}, h('div', {class: 'dots', 'aria-label': '支付密码'}, dots), state, h('div', {class: 'keypad'}, keys));
}

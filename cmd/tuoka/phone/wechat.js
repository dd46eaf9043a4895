// wechat.js plays the parts of WeChat that a mini program only calls: the jump to the national insurance mini program, and the cashier.

import {h, icon, button} from './dom.js';
import {sandbox} from './api.js';
import {session} from './session.js';
import {sheet} from './view.js';
import {amount} from './text.js';

// authorise is wx.navigateToMiniProgram to the national insurance platform. It answers the authCode, or nothing when the user came back
// without one.
export function authorise(jump, hospital) {
  return sheet('miniapp', '国家医保服务平台', (close) => {
    const query = jump.path.slice(jump.path.indexOf('?') + 1);
    const error = h('div', {class: 'sheet-error', role: 'alert', hidden: true});
    const params = query.split('&').map((pair) => {
      const at = pair.indexOf('=');
      return h('div', {}, h('dt', {}, pair.slice(0, at)), h('dd', {}, pair.slice(at + 1)));
    });
    const agree = button('同意授权', {kind: 'primary blue', test: 'nhsa-agree', press: async () => {
      error.hidden = true;
      try {
        const {authCode} = await sandbox('POST', '/wechatmp/authorise', {user: session.role.user, query});
        close(authCode);
      } catch (err) {
        error.textContent = refusal(err.message);
        error.hidden = false;
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
          h('li', {}, icon('check'), '核验您是参保人本人'),
          h('li', {}, icon('check'), '用于本次门诊费用的医保结算'),
          h('li', {}, icon('check'), '授权短时有效，到期自动失效')),
        h('dl', {class: 'facts'}, h('div', {}, h('dt', {}, '授权人'), h('dd', {}, session.role.name))),
        h('details', {class: 'params'}, h('summary', {}, '跳转参数（沙箱）'),
          h('dl', {}, h('div', {}, h('dt', {}, 'appId'), h('dd', {}, jump.appId)), params)),
        error),
      h('footer', {class: 'miniapp-foot'}, agree, button('拒绝', {kind: 'text', test: 'nhsa-refuse', press: () => close()})),
    ];
  });
}

function refusal(text) {
  if (text.includes('did not authorise')) return '您还没有激活医保电子凭证，不能使用医保支付。可以返回后选择自费缴费。';
  if (text.includes('jump parameter')) return `跳转参数有误：${text.replace(/^.*parameter (\S+) .*$/, '$1')}`;
  return text;
}

// cashier is wx.requestPayment: first what is paid to whom, then a password of six digits (any, in the sandbox). It answers true after
// WeChat said requestPayment:ok, and nothing when the user closed it.
export function cashier(params, merchant, fen) {
  return sheet('cashier', '微信支付', (close, box) => {
    const head = h('header', {class: 'cashier-head'},
      h('button', {class: 'cashier-close', type: 'button', 'aria-label': '关闭收银台', 'data-test': 'cashier-close', onclick: () => close()}, icon('close')),
      h('h2', {}, '微信支付'));
    const body = h('div', {class: 'cashier-body'},
      h('p', {class: 'cashier-merchant'}, merchant), amount(fen, 'huge', 'cashier-amount'),
      h('dl', {class: 'facts'}, h('div', {}, h('dt', {}, '付款方式'), h('dd', {}, '零钱（沙箱）')), h('div', {}, h('dt', {}, '商品'), h('dd', {}, '门诊缴费'))));
    const next = h('div', {class: 'cashier-foot'}, button('立即支付', {kind: 'primary wechat', test: 'cashier-pay', press: () => {
      next.replaceWith(password(params, close, box));
      box.focus({preventScroll: true});
    }}));
    return [head, body, next];
  });
}

function password(params, close, box) {
  let digits = '';
  const dots = [0, 1, 2, 3, 4, 5].map(() => h('i', {}));
  const state = h('p', {class: 'password-hint', role: 'status'}, '请输入支付密码（沙箱：任意六位数字）');
  const draw = () => dots.forEach((dot, i) => dot.classList.toggle('on', i < digits.length));
  let paying = false;
  const pay = async () => {
    paying = true;
    state.className = 'password-hint';
    state.replaceChildren(h('span', {class: 'spin'}), '正在支付…');
    try {
      await sandbox('POST', '/wechatpay/pay', {...params, openid: session.role.openid});
      state.replaceChildren(icon('check'), '支付成功');
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
    if (digits.length === 6) pay();
  };
  box.addEventListener('typed', ({detail}) => type(detail.key));
  const keys = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '', '0', 'Backspace'].map((key) => {
    if (key === '') return h('span', {class: 'key blank', 'aria-hidden': 'true'});
    return h('button', {class: 'key', type: 'button', test: `key-${key}`, 'aria-label': key === 'Backspace' ? '删除' : key, onclick: () => type(key)},
      key === 'Backspace' ? icon('backspace') : key);
  });
  return h('div', {class: 'password'}, h('div', {class: 'dots', 'aria-label': '支付密码'}, dots), state, h('div', {class: 'keypad'}, keys));
}

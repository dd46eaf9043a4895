// problems.js says what a patient can do about each problem code of the API. The words of the problem are the API's own.

import {button} from './dom.js';
import {api} from './api.js';
import {go, toast} from './view.js';

const here = (page) => encodeURIComponent(page.path);

// remedies are rows of code to label and deed. What is not listed can be tried again when it may pass, and else only be left.
const remedies = {
  CONSENT_REQUIRED: ['去阅读授权书', (page, err) => go(`/consent/${err.field.replace('consents.', '') || 'privacy'}?next=${here(page)}`)],
  CONSENT_OUTDATED: ['阅读新的版本', (page) => go(page.path)],
  GUARDIAN_CONSENT_REQUIRED: ['去阅读监护人同意书', (page) => go(`/consent/guardian?next=${here(page)}`)],
  INSURANCE_NOT_BOUND: ['去医保授权', (page) => go(`/authorise?next=${here(page)}`)],
  AUTH_EXPIRED: ['重新授权', (page) => go(`/authorise?next=${here(page)}`)],
  CLIENT_TOO_OLD: ['已升级，再试一次', (page) => go(page.path)],
  AUTH_CODE_INVALID: ['重新授权', (page) => go(page.path)],
  BILL_IN_ORDER: ['继续原来的缴费', resume],
  BILL_PAID: ['查看缴费记录', () => go('/records')],
  BILL_VOID: ['返回待缴费', () => go('/home')],
  BILL_OVER: ['返回待缴费', () => go('/home')],
  BILLS_ONE_EACH: ['返回待缴费', () => go('/home')],
  BILL_KINDS_MIXED: ['返回待缴费', () => go('/home')],
  BILL_NOT_FOUND: ['返回待缴费', () => go('/home')],
  BILL_CHANGED: ['查看最新金额', (page) => go(page.path)],
  ORDER_NOT_FOUND: ['返回首页', () => go('/home')],
  PATIENT_NOT_FOUND: ['返回首页', () => go('/home')],
  PATIENT_EXISTS: ['查看我的就诊人', () => go('/me')],
  PATIENTS_TOO_MANY: ['管理就诊人', () => go('/me')],
  SESSION_INVALID: ['重新进入', () => go('/')],
  LOGIN_CODE_INVALID: ['重新登录', (page) => go(page.path)],
  LOGIN_BLOCKED: ['返回', () => go('/')],
};

async function resume() {
  try {
    const live = await api('GET', '/orders/live');
    go(`/order/${live.id}`);
  } catch (err) {
    if (err.code !== 'ORDER_NOT_FOUND') throw err;
    toast('原来的缴费已经结束');
    go('/home');
  }
}

// remedy is the button that answers a problem: the code's own, or again when trying again may help, or the way home.
export function remedy(page, err, again) {
  const known = remedies[err.code];
  if (known) {
    return button(known[0], {test: 'remedy', press: async () => {
      try {
        await known[1](page, err);
      } catch (other) {
        toast(other.message, 'bad');
      }
    }});
  }
  if (again) return button('再试一次', {test: 'retry', press: again});
  return button('返回首页', {kind: 'secondary', test: 'home', press: () => go('/home')});
}

// api.js speaks to the mini-program API and to the sandbox. What is unknown is never told as failed: a request whose answer was lost is
// sent again under the same Idempotency-Key.

import {session} from './session.js';

// Problem is the API's problem document, or what stands for it when no answer came (status 0, code NETWORK).
export class Problem extends Error {
  constructor(status, body = {}, retryAfter = 0) {
    super(body.detail || (status === 0 ? '网络不通，暂时连不上医院的服务' : '系统繁忙，请稍后再试'));
    this.status = status;
    this.code = body.code || (status === 0 ? 'NETWORK' : '');
    this.field = body.field || '';
    this.choices = body.choices || [];
    this.requestID = body.request_id || '';
    this.retryAfter = retryAfter;
  }

  get detail() { return this.message; }

  // passing tells whether asking again, unchanged, may help: nothing is decided yet.
  get passing() {
    return this.status === 0 || this.status === 202 || this.status === 429 || this.status >= 500 ||
      this.code === 'ORDER_BUSY' || this.code === 'CLAIM_LOST';
  }
}

const listeners = new Set();

// onCall hears of every request when it is over: {method, path, status, ms, code, key}.
export function onCall(listener) { listeners.add(listener); }

function told(call) { for (const listener of listeners) listener(call); }

async function send(method, url, {body, headers = {}, signal, timeout = 45_000} = {}) {
  const control = new AbortController();
  const stop = () => control.abort();
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, {once: true});
  const timer = setTimeout(stop, timeout);
  const begun = performance.now();
  const call = {method, path: url, status: 0, code: '', key: headers['Idempotency-Key'] || ''};
  try {
    const answer = await fetch(url, {method, headers: {...headers, ...(body === undefined ? {} : {'Content-Type': 'application/json'})},
      body: body === undefined ? undefined : JSON.stringify(body), signal: control.signal, cache: 'no-store'});
    call.status = answer.status;
    const blob = await answer.blob();
    call.ms = Math.round(performance.now() - begun);
    return {answer, blob, call};
  } catch (err) {
    if (signal?.aborted) throw err; // the page was left
    told({...call, code: 'NETWORK', ms: Math.round(performance.now() - begun)});
    throw new Problem(0);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

async function read(blob) {
  try {
    return JSON.parse(await blob.text());
  } catch {
    return undefined;
  }
}

async function once(method, path, {body, key, signal, timeout, raw} = {}) {
  const headers = {Accept: 'application/json, application/problem+json, application/pdf'};
  if (session.token) headers.Authorization = `Bearer ${session.token}`;
  if (key) headers['Idempotency-Key'] = key;
  const {answer, blob, call} = await send(method, `/api/v1${path}`, {body, headers, signal, timeout});
  const type = answer.headers.get('Content-Type') || '';
  if (answer.ok && !type.startsWith('application/problem+json')) {
    told(call);
    if (raw) return blob;
    if (answer.status === 204) return null;
    const data = await read(blob);
    if (data !== undefined) return data;
    throw new Problem(0); // an answer that cannot be read is no answer
  }
  const problem = new Problem(answer.status, (await read(blob)) || {}, Number(answer.headers.get('Retry-After')) || 0);
  told({...call, code: problem.code});
  throw problem;
}

// api makes one request; a lost login is renewed once, silently, as wx.login allows.
export async function api(method, path, options = {}) {
  try {
    return await once(method, path, options);
  } catch (err) {
    if (err.code !== 'SESSION_INVALID' || !session.role || path === '/sessions') throw err;
    await login(session.role);
    return once(method, path, options);
  }
}

// sandbox speaks to the sandbox's own door; its errors are plain words.
export async function sandbox(method, path, body) {
  const {answer, blob, call} = await send(method, `/sandbox${path}`, {body});
  told(call);
  const data = await read(blob);
  if (!answer.ok) throw new Error(data?.error || `沙箱回答 ${answer.status}`);
  return data;
}

// login is wx.login on the simulated phone, then a session of ours.
export async function login(role) {
  const here = await hospitalHere();
  const {code} = await onPhone('/login', {user: role.user});
  session.token = '';
  const opened = await once('POST', '/sessions', {body: {institution: here.institution, code}});
  session.role = role;
  session.token = opened.token;
}

let about;

// aboutSandbox is where everything is; it does not change while the page lives.
export async function aboutSandbox() {
  about ??= await sandbox('GET', '/about');
  return about;
}

// hospitalHere is the chosen hospital of the sandbox, {institution, hospital, together, app_id}; the first one until another is chosen.
export async function hospitalHere() {
  const {hospitals} = await aboutSandbox();
  return hospitals.find((h) => h.institution === session.hospital) || hospitals[0];
}

const institutions = new Map();

// institutionHere is what our API tells anybody of the chosen hospital.
export async function institutionHere() {
  const {institution} = await hospitalHere();
  if (!institutions.has(institution)) institutions.set(institution, await once('GET', `/institutions/${institution}`));
  return institutions.get(institution);
}

// atHospital speaks to a counterpart that the chosen hospital has alone: its merchant at WeChat Pay, its HIS.
export async function atHospital(method, path, body) {
  return sandbox(method, `/${(await hospitalHere()).institution}${path}`, body);
}

// onPhone is something that the user does in WeChat, in the mini program of the chosen hospital.
export async function onPhone(path, body) {
  return sandbox('POST', `/wechatmp${path}`, {appid: (await hospitalHere()).app_id, ...body});
}

// sleep waits, and wakes with an AbortError when the page is left.
export function sleep(ms, signal) {
  return new Promise((done, failed) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      failed(new DOMException('left', 'AbortError'));
    }, {once: true});
  });
}

// persist repeats a call whose outcome is open, always the same call with the same key. onWait hears why before every wait, and null
// when an answer came. The last problem is thrown when patience ends.
export async function persist(call, {signal, onWait = () => {}, waits = [1, 2, 3, 5, 8, 10]} = {}) {
  for (let i = 0; ; i++) {
    try {
      const result = await call();
      onWait(null);
      return result;
    } catch (err) {
      if (!(err instanceof Problem) || !err.passing || i >= waits.length) {
        onWait(null);
        throw err;
      }
      onWait(err);
      await sleep(1000 * Math.min(err.retryAfter || waits[i], 15), signal);
    }
  }
}

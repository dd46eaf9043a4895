'use strict'

// The envelope of the mobile-payment centre, written from nhsa-mobile-pay.md §2 and §3 alone and from nothing in Go.

const {sm2, sm4} = require('sm-crypto')
const {Num, parse} = require('./literal')

const isObject = v => v !== null && typeof v === 'object' && !Array.isArray(v) && !(v instanceof Num)
const literal = v => v instanceof Num ? v.literal : String(v)
const byASCII = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))

// §2.1 step 3: null, empty string, empty array, at every depth; empty objects where they are not kept (§11.2).
const isEmpty = (v, keep) => v === null || v === '' || (Array.isArray(v) && v.length === 0) ||
  (!keep && isObject(v) && Object.keys(v).length === 0)

function withoutEmpty(v, keep) {
  if (Array.isArray(v)) return v.map(x => withoutEmpty(x, keep)).filter(x => !isEmpty(x, keep))
  if (!isObject(v)) return v
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, withoutEmpty(x, keep)]).filter(([, x]) => !isEmpty(x, keep)))
}

// §2.1 steps 4 and 5: compact, sorted, not escaped beyond JSON; leaves as strings or raw.
function canonical(v, strings) {
  if (Array.isArray(v)) return '[' + v.map(x => canonical(x, strings)).join(',') + ']'
  if (isObject(v)) return '{' + Object.keys(v).sort(byASCII).map(k => JSON.stringify(k) + ':' + canonical(v[k], strings)).join(',') + '}'
  if (typeof v === 'string') return JSON.stringify(v)
  return strings ? JSON.stringify(literal(v)) : literal(v)
}

function signText(envelope, secret, {leaves, keep}) {
  return Object.keys(envelope).filter(k => !['signData', 'encData', 'extra'].includes(k)).sort(byASCII)
    .map(k => [k, withoutEmpty(envelope[k], keep)])
    .filter(([, v]) => !isEmpty(v, keep))
    .map(([k, v]) => k + '=' + (typeof v === 'string' ? v : Array.isArray(v) || isObject(v) ? canonical(v, leaves === 'string') : literal(v)))
    .concat('key=' + secret).join('&')
}

// §3: sixteen hex characters of the secret's own ciphertext, as ASCII.
const ascii = s => Buffer.from(s, 'latin1').toString('hex')

function sm4Key(appId, secret) {
  return ascii(sm4.encrypt(secret, ascii(appId.slice(0, 16))).toUpperCase().slice(0, 16))
}

function seal(request) {
  const envelope = parse(request.head)
  const text = signText({...envelope, data: parse(request.body)}, request.secret, request)
  const rs = sm2.doSignature(text, request.privateKey, {hash: true, der: false, publicKey: request.ownPublicKey, userId: request.userId})
  envelope.encData = sm4.encrypt(request.body, sm4Key(request.appId, request.secret)).toUpperCase()
  envelope.signData = Buffer.from(rs, 'hex').toString('base64')
  return {signText: text, envelope: canonical(envelope, false)}
}

function open(request) {
  const envelope = parse(request.envelope)
  const data = parse(sm4.decrypt(envelope.encData, sm4Key(request.appId, request.secret)))
  const text = signText({...envelope, data}, request.secret, request)
  const rs = Buffer.from(envelope.signData, 'base64').toString('hex')
  const verified = rs.length === 128 && sm2.doVerifySignature(text, rs, request.publicKey, {hash: true, userId: request.userId})
  return {signText: text, verified, data: canonical(withoutEmpty(data, true), false)}
}

module.exports = {seal, open}

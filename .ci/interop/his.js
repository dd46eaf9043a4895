'use strict'

// A hospital's WebService, and somebody who calls one, by another people's SOAP:
//
//   node his.js serve SECRET           answers getMZFeeList with one bill; prints its port
//   node his.js call ADDRESS SECRET    asks for the bills of P1; prints the answer's elements as JSON
//
// The message in the parameter and its signature are written from docs/his-guide.md alone.

const crypto = require('crypto')
const fs = require('fs')
const http = require('http')
const path = require('path')
const soap = require('soap')
const {sm3} = require('sm-crypto')

const wsdl = path.join(__dirname, 'his.wsdl')
const names = ['FUN_CODE', 'USER_ID', 'TIME', 'NONCE', 'REQ_DATA', 'RETURN_CODE', 'RETURN_MSG', 'RES_DATA', 'SIGN']
const escape = s => s.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
const unescape = s => s.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&#34;/g, '"').replace(/&#39;/g, "'").replace(/&#xA;/g, '\n').replace(/&amp;/g, '&')
const element = (doc, name) => {
  const found = new RegExp(`<${name}>([\\s\\S]*?)</${name}>`).exec(doc)
  return found ? unescape(found[1]) : undefined
}

function signature(elements, secret) {
  const pairs = Object.keys(elements).filter(n => n !== 'SIGN' && elements[n]).sort().map(n => `${n}=${elements[n]}`)
  return sm3(pairs.concat(`KEY=${secret}`).join('&')).toUpperCase()
}

function write(elements, secret) {
  const signed = {...elements, SIGN: signature(elements, secret)}
  return '<ROOT>' + Object.keys(signed).map(n => `<${n}>${escape(signed[n])}</${n}>`).join('') + '</ROOT>'
}

function read(doc, secret) {
  const elements = {}
  for (const n of names) {
    const text = element(doc, n)
    if (text !== undefined) elements[n] = text.trim()
  }
  if ((elements.SIGN || '').toUpperCase() !== signature(elements, secret)) throw new Error('wrong signature')
  return elements
}

const stamp = () => new Date(Date.now() + 8 * 3600e3).toISOString().replace(/[-:T]/g, '').slice(0, 14)

function serve(secret) {
  const fees = args => {
    const asked = read(args.reqXml, secret)
    const patient = element(asked.REQ_DATA, 'patientId')
    const data = `<response><patientId>${escape(patient)}</patientId><count>1</count><totalAmt>19.17</totalAmt><billsList><item><billNo>MZ&amp;1</billNo>` +
      '<state>0</state><totalAmt>19.17</totalAmt><createdAt>2026-11-23 09:30:00</createdAt><dept><code>0303</code><name>内分泌科门诊</name></dept>' +
      '<doctor><code>D1</code><name>顾怀民</name></doctor><locked>0</locked></item></billsList></response>'
    const answer = {RETURN_CODE: '0', RETURN_MSG: '成功', TIME: stamp(), NONCE: asked.NONCE, RES_DATA: data}
    return {getMZFeeListResult: write(answer, secret)}
  }
  const server = http.createServer((_, res) => { res.statusCode = 404; res.end() })
  server.listen(0, '127.0.0.1', () => {
    soap.listen(server, '/ws/mz', {MZ: {MZPort: {getMZFeeList: fees}}}, fs.readFileSync(wsdl, 'utf8'), () => console.log(server.address().port))
  })
}

async function call(address, secret) {
  const client = await soap.createClientAsync(wsdl, {endpoint: address + '/ws/mz'})
  const request = {FUN_CODE: 'getMZFeeList', USER_ID: 'tuoka', TIME: stamp(), NONCE: crypto.randomBytes(16).toString('hex'),
    REQ_DATA: '<request><patientId>P1</patientId></request>'}
  const [answer] = await client.getMZFeeListAsync({reqXml: write(request, secret)})
  const elements = read(answer.getMZFeeListResult, secret)
  if (elements.NONCE !== request.NONCE) throw new Error('another request is answered')
  console.log(JSON.stringify(elements))
}

const [what, ...args] = process.argv.slice(2)
if (what === 'serve') serve(...args)
else call(...args).catch(e => { console.error(String(e)); process.exit(1) })

'use strict'

// Answers one JSON line with one JSON line: seal, open, and sm3, sm4 in ECB for the plain ciphers.

const readline = require('readline')
const {sm3, sm4} = require('sm-crypto')
const {seal, open} = require('./envelope')

const ops = {
  seal,
  open,
  sm3: r => ({hex: sm3(Buffer.from(r.hex, 'hex'))}),
  ecb: r => ({hex: sm4.encrypt(Buffer.from(r.hex, 'hex'), r.key)}),
}

readline.createInterface({input: process.stdin}).on('line', line => {
  let answer
  try {
    const request = JSON.parse(line)
    answer = ops[request.op](request)
  } catch (e) {
    answer = {error: String(e)}
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
})

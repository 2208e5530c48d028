// Verifies messages with mailauth. Arguments: the folder with node_modules, a JSON file with the DNS records by name, and
// a folder of messages. Prints a JSON object: for each file the results of its signatures, in order.

import { createRequire } from 'node:module'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const [modules, recordsPath, folder] = process.argv.slice(2)
const require = createRequire(join(modules, 'package.json'))
const { dkimVerify } = require('mailauth/lib/dkim/verify')
const records = JSON.parse(readFileSync(recordsPath, 'utf8'))

async function resolver(name, type) {
  if (type === 'TXT' && records[name]) return [[records[name]]]
  const error = new Error(`no ${type} record of ${name}`)
  error.code = 'ENOTFOUND'
  throw error
}

const verdicts = {}
for (const file of readdirSync(folder).sort()) {
  const { results } = await dkimVerify(readFileSync(join(folder, file)), { resolver })
  verdicts[file] = results.map(({ signingDomain, algo, status }) => ({ signingDomain, algo, result: status.result }))
}
console.log(JSON.stringify(verdicts))

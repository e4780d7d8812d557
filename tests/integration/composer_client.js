// Makes compositions with the stock composer, deploys them with its own client and runs them. usage: node composer_client.js WHICH < parameters.json
// Prints one JSON object; what the tests expect of it stands in test_composer.py.
'use strict'
const composer = require('openwhisk-composer')
const client = require('openwhisk-composer/client')

const wsk = client({ignore_certs: true}, true)
const failure = promise => promise.then(
    done => ({statusCode: 200, error: done}),
    e => ({statusCode: e.statusCode, error: e.error}))

const step = (name, source, params) => wsk.actions.update({name, action: source, params})
const deploy = (name, composition) => wsk.compositions.deploy(Object.assign({name}, composition.compile()), true)
const run = (name, params) => wsk.actions.invoke({name, params, blocking: true})

// How the record names what ran: the primary's logs are the activations of conductor and components.
async function chain(record) {
    const ran = []
    for (const id of record.logs) {
        for (let n = 0; ; n++) {
            const one = await wsk.activations.get({name: id}).catch(e => { if (e.statusCode !== 404 || n > 600) throw e })
            if (one) { ran.push({name: one.name, cause: one.cause, success: one.response.success}); break }
            await new Promise(done => setTimeout(done, 50))
        }
    }
    return ran
}

// The record once it is stored, with its logs.
async function stored(activationId) {
    for (let n = 0; n < 600; n++) {
        const one = await wsk.activations.get({name: activationId}).catch(e => { if (e.statusCode !== 404) throw e })
        if (one) return one
        await new Promise(done => setTimeout(done, 50))
    }
    throw new Error('not found in time')
}

async function sequence({name}) {
    await step(`${name}-add`, 'const main = ({n, by}) => ({n: n + by})', {by: 2})
    await step(`${name}-double`, 'const main = ({n}) => ({n: n * 2})')
    const deployed = await deploy(name, composer.sequence(`${name}-add`, `${name}-double`, ({n}) => ({n: n + 1})))
    const record = await run(name, {n: 4})
    const whole = await stored(record.activationId)
    return {deployed, record, whole, chain: await chain(whole), got: await wsk.actions.get({name})}
}

// Let variables, a loop and a branch: the composition's state goes round.
async function state({name}) {
    await step(`${name}-add`, 'const main = ({n}) => ({n: n + 1})')
    await deploy(name, composer.let({left: 3, text: 'ü \u{1F600} "quoted" \\ /'},
        composer.while(() => left-- > 0, `${name}-add`), params => ({n: params.n, text, left}))) // eslint-disable-line no-undef
    return {record: await run(name, {n: 10})}
}

async function retry({name}) {
    await step(`${name}-fails`, "const main = () => ({error: 'as always'})")
    await deploy(name, composer.retry(2, `${name}-fails`))
    const failed = await failure(run(name, {}))
    await deploy(`${name}-saved`, composer.try(composer.retry(2, `${name}-fails`), ({error}) => ({recovered: error})))
    const saved = await run(`${name}-saved`, {})
    const whole = await stored(failed.error.activationId)
    return {failed, saved, chain: await chain(whole)}
}

async function parallel({name}) {
    await step(`${name}-add`, 'const main = ({n}) => ({n: n + 1})')
    await deploy(name, composer.parallel(`${name}-add`, `${name}-add`))
    return {failed: await failure(run(name, {n: 1}))}
}

// A branch on what a function that the composition brings along answers.
async function branch({name}) {
    const parts = word => composer.action(`${name}-${word}`, {action: new Function(`return function main() { return {value: '${word}'} }`)()}) // eslint-disable-line no-new-func
    const deployed = await deploy(name, composer.if(
        composer.action(`${name}-authenticate`, {action: function main({password}) { return {value: password === 'abc123'} }}),
        parts('success'), parts('failure')))
    return {deployed: deployed.map(a => a.name), good: await run(name, {password: 'abc123'}), bad: await run(name, {password: 'x'})}
}

let text = ''
process.stdin.on('data', piece => { text += piece })
process.stdin.on('end', () => {
    ({sequence, state, retry, parallel, branch})[process.argv[2]](JSON.parse(text)).then(
        done => console.log(JSON.stringify(done)),
        e => { console.error(e); process.exit(1) })
})

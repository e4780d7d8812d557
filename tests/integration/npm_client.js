// Drives the platform with the stock client. usage: node npm_client.js life|zip|rest < parameters.json
// Prints one JSON object; what the tests expect of it stands in test_npm.py.
'use strict'
const openwhisk = require('openwhisk')

const ow = openwhisk()
const failure = promise => promise.then(
    () => ({statusCode: 0, message: 'it did not fail'}),
    e => ({statusCode: e.statusCode, message: e.message, inner: e.error}))

// What a body holds: native functions are images to this client.
const action = (kind, code, binary) => ({
    exec: kind === 'native'
        ? {kind: 'blackbox', image: 'openwhisk/dockerskeleton', code, binary}
        : {kind, code, binary},
})

async function until(question) {
    for (let n = 0; n < 600; n++) {
        try {
            return await question()
        } catch (e) {
            if (e.statusCode !== 404) throw e
        }
        await new Promise(done => setTimeout(done, 50))
    }
    throw new Error('not found in time')
}

async function life({name, kind, code, newer, params}) {
    const done = {}
    done.created = await ow.actions.create({name, action: action(kind, code, false)})
    done.got = await ow.actions.get({name})
    done.listed = (await ow.actions.list({limit: 200})).some(a => a.name === name)
    done.result = await ow.actions.invoke({name, params, blocking: true, result: true})
    done.blocking = await ow.actions.invoke({name, params, blocking: true})
    const {activationId} = await ow.actions.invoke({name, params})
    done.later = await until(() => ow.activations.get({name: activationId}))
    done.logs = await ow.activations.logs({name: activationId})
    done.fetched = await ow.activations.result({name: activationId})
    done.updated = await ow.actions.update({name, action: action(kind, newer, false)})
    done.newer = await ow.actions.invoke({name, blocking: true, result: true})
    const failed = await failure(ow.actions.invoke({name, params: {do: 'error'}, blocking: true}))
    done.failed = {statusCode: failed.statusCode, error: failed.inner.response.result.error}
    done.deleted = await ow.actions.delete({name})
    done.missing = await failure(ow.actions.get({name}))
    return done
}

async function zip({name, kind, zip: packed, params}) {
    const done = {}
    const bytes = Buffer.from(packed, 'base64')
    done.created = kind === 'native'
        ? await ow.actions.create({name, action: action(kind, packed, true)})
        : await ow.actions.create({name, action: bytes, kind})
    done.result = await ow.actions.invoke({name, params, blocking: true, result: true})
    done.deleted = await ow.actions.delete({name})
    return done
}

async function rest({name}) {
    const done = {}
    done.namespaces = await ow.namespaces.list()
    done.empty = await ow.actions.create({name, action: ''})
    done.exists = await failure(ow.actions.create({name, action: 'function main() {}'}))
    done.own = await openwhisk({namespace: 'guest'}).actions.get({name})
    done.activations = await ow.activations.list({limit: 2})
    done.unauthorized = await failure(openwhisk({api_key: 'a:b'}).actions.list())
    await ow.actions.delete({name})
    return done
}

let text = ''
process.stdin.on('data', piece => { text += piece })
process.stdin.on('end', () => {
    ({life, zip, rest})[process.argv[2]](JSON.parse(text)).then(
        done => console.log(JSON.stringify(done)),
        e => { console.error(e); process.exit(1) })
})

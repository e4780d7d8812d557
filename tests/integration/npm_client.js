// Drives the platform with the stock client. usage: node npm_client.js life|zip|rest|packages|events|feed|routes|lists|sequence < parameters.json
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

async function packages({name}) {
    const done = {}
    done.created = await ow.packages.create({name, package: {parameters: [{key: 'a', value: 1}]}})
    await ow.actions.create({name: `${name}/echo`, action: 'const main = args => args'})
    done.listed = (await ow.packages.list({limit: 200})).find(p => p.name === name)
    done.got = await ow.packages.get({name})
    done.updated = await ow.packages.update({name, package: {publish: true}})
    done.bare = await ow.packages.update({name})
    done.result = await ow.actions.invoke({name: `${name}/echo`, params: {b: 2}, blocking: true, result: true})
    done.full = await ow.actions.invoke({name: `/guest/${name}/echo`, params: {b: 2}, blocking: true, result: true})
    done.nonempty = await failure(ow.packages.delete({name}))
    await ow.actions.delete({name: `${name}/echo`})
    done.deleted = await ow.packages.delete({name})
    done.missing = await failure(ow.packages.get({name}))
    return done
}

// Triggers and rules; `space` puts a name into every path, as __OW_NAMESPACE does.
async function events({name, space}) {
    const done = {}
    const ow = openwhisk(space ? {namespace: space} : {})
    const [trigger, rule] = [`${name}-trigger`, `${name}-rule`]
    await ow.actions.create({name, action: 'const main = args => args'})
    done.trigger = await ow.triggers.create({name: trigger})
    done.nothing = await ow.triggers.invoke({name: trigger, params: {x: 1}})
    done.rule = await ow.rules.create({name: rule, action: name, trigger})
    done.shown = await ow.triggers.get({name: trigger})
    done.listed = [(await ow.triggers.list({limit: 200})).some(t => t.name === trigger),
        (await ow.rules.list({limit: 200})).some(r => r.name === rule)]
    done.fired = await ow.triggers.invoke({name: trigger, params: {x: 1}})
    done.record = await until(() => ow.activations.get({name: done.fired.activationId}))
    const {activationId} = JSON.parse(done.record.logs[0])
    done.ran = await until(() => ow.activations.get({name: activationId}))
    done.disabled = await ow.rules.disable({name: rule})
    done.inactive = (await ow.rules.get({name: rule})).status
    done.enabled = await ow.rules.enable({name: rule})
    done.active = (await ow.rules.get({name: rule})).status
    done.updated = [(await ow.triggers.update({name: trigger})).version,
        (await ow.rules.update({name: rule, action: name, trigger})).version]
    done.deleted = [(await ow.rules.delete({name: rule})).name, (await ow.triggers.delete({name: trigger})).name]
    await ow.actions.delete({name})
    return done
}

async function feed({name}) {
    const done = {}
    await ow.actions.create({name, action: 'const main = args => args', annotations: {feed: true}})
    for (const event of ['create', 'get', 'update', 'delete'])
        done[event] = await ow.feeds[event]({name, trigger: 'some-trigger', params: {x: event}})
    await ow.actions.delete({name})
    return done
}

async function routes({name}) {
    const done = {}
    const base = `/${name}`
    await ow.actions.create({name, action: "const main = args => ({body: 'hello ' + args.who})"}) // no web-export
    done.created = await ow.routes.create({relpath: '/p', basepath: base, operation: 'GET', action: name})
    done.listed = (await ow.routes.list({limit: 200})).apis.map(a => a.value.apidoc.basePath)
    done.got = await ow.routes.get({basepath: base})
    done.deleted = await ow.routes.delete({basepath: base})
    done.after = (await ow.routes.list({})).apis.map(a => a.value.apidoc.basePath)
    await ow.actions.delete({name})
    return done
}

async function lists({name}) {
    const done = {}
    await ow.actions.create({name, action: 'const main = args => args'})
    const {activationId} = await ow.actions.invoke({name, params: {}, blocking: true})
    done.one = (await ow.actions.list({limit: 1})).length
    done.skipped = (await ow.actions.list({limit: 1, skip: 100000})).length
    done.count = await ow.actions.list({count: true})
    done.named = (await ow.activations.list({limit: 5, name})).map(a => a.activationId === activationId)
    done.docs = (await ow.activations.list({limit: 1, docs: true, name}))[0].response
    done.none = await ow.activations.list({since: Date.now() + 3600000})
    done.space = Object.keys(await ow.namespaces.get('_')).sort()
    done.wrong = await failure(ow.actions.list({limit: 201}))
    await ow.actions.delete({name})
    return done
}

async function sequence({name}) {
    const done = {}
    await ow.actions.create({name, action: 'const main = args => ({n: args.n + args.by})', params: {by: 2}})
    done.created = await ow.actions.create({name: `${name}-s`, sequence: [`/_/${name}`, `/_/${name}`]})
    done.whole = await ow.actions.invoke({name: `${name}-s`, params: {n: 1}, blocking: true})
    await ow.actions.delete({name: `${name}-s`})
    await ow.actions.delete({name})
    return done
}

let text = ''
process.stdin.on('data', piece => { text += piece })
process.stdin.on('end', () => {
    ({life, zip, rest, packages, events, feed, routes, lists, sequence})[process.argv[2]](JSON.parse(text)).then(
        done => console.log(JSON.stringify(done)),
        e => { console.error(e); process.exit(1) })
})

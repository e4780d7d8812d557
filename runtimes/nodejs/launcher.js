'use strict';
// Runs Node functions: loads the code once, then serves calls on the slots' own connections.
//
// The process is started with its container, before the code is known. The agent talks to it over Node's own IPC
// channel (3), for only that can hand a connection to a Node program; a memory file has the JSON of INIT (4), and one
// page is shared with the agent (5). runtimes/agent/control.h describes all three, ports/frames.h the frames.
//
//   rehearse    the agent says 'P' with a connection on which one call has come: a container that waits without code serves
//               it with a function of ours and answers 'b', so that the first call of a tenant finds all compiled
//   load        the agent says 'I': import what INIT names, answer 'i'
//   serve       the agent says 'S' with a connection, once per slot; one process serves all slots
//   each call   read RUN, set __OW_* variables, call the function, write ANSWER (narae.cc writes)
//   logs        one slot: what is written goes to the pipes, which the agent reads; a call that wrote gets LOG and END from
//               the agent, any other its END from here, in the same write as ANSWER.
//               more slots: each call runs in an asynchronous context of its own, output is told apart by the context
//               it is written in, and LOG and END come from here
//   errors      a function that throws fails and the container is used no more; a rejected promise is the function's
//               own way to answer with an error
const { AsyncLocalStorage } = require('async_hooks');
const fs = require('fs');
const Module = require('module');
const net = require('net');
const path = require('path');
const { pathToFileURL } = require('url');
const util = require('util');
const vm = require('vm');

const native = require('./narae.node');

const INIT_FD = 4;
const PAGE_FD = 5;
const ACTION = process.env.NARAE_ACTION || '/action';

// frames
const INIT_DONE = 2, ANSWER = 3, LOG = 4, END = 5, RUN = 17;
const FAILED = 2, TRUNCATED = 4;
const OK = 0, TAINTED = 3;
const HEAD_BYTES = 16;
const RUN_MAX_BYTES = 8192 + (4 << 20);
const READ_BYTES = 64 << 10;

const LOG_LINE_MAX = 64 << 10;
const REHEARSAL_SLOT = 63; // line of the page; nothing of it is left
const HEAP_SHARE = 0.75; // of the container's memory, as the agent started us with
const MEMORY_SENTENCE = 'The action exhausted its memory and was aborted.';
const MEMORY_ERRORS = ['Invalid string length', 'Array buffer allocation failed'];

const send = process.send.bind(process);
const slots = new Map();
let contexts = null; // more slots: the AsyncLocalStorage of Contexts
let setup = null;
let main = null;
let loading = true; // what INIT writes goes to the pipes, however many slots there will be

// ---------------------------------------------------------------------------------------------------------- logs

let stampSecond = -1;
let stampText = '';

function stamp() {
  const ms = performance.timeOrigin + performance.now();
  const second = Math.floor(ms / 1000);
  if (second !== stampSecond) {
    stampSecond = second;
    stampText = new Date(second * 1000).toISOString().slice(0, 19);
  }
  const nanos = Math.floor((ms - second * 1000) * 1e6);
  return `${stampText}.${String(nanos).padStart(9, '0')}Z`;
}

// What one call of several writes.
class Context {
  constructor() {
    this.open = true;
    this.parts = []; // formatted lines
    this.bytes = 0;
    this.truncated = false;
    this.partial = { stdout: '', stderr: '' };
  }

  line(stream, text) {
    const limit = setup.log_max_bytes;
    if (limit === 0 || this.truncated) return;
    const line = Buffer.from(`${stamp()} ${stream}: ${text.replace(/\0/g, '\ufffd')}\n`);
    if (this.bytes + line.length > limit) {
      this.truncated = true;
      return;
    }
    this.bytes += line.length;
    this.parts.push(line);
  }

  add(stream, text) {
    if (this.truncated) return;
    let rest = this.partial[stream] + text;
    let at = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', at)) {
      this.split(stream, rest.slice(at, end));
      at = end + 1;
    }
    rest = rest.slice(at);
    while (rest.length > LOG_LINE_MAX / 3) {
      this.line(stream, rest.slice(0, LOG_LINE_MAX / 3));
      rest = rest.slice(LOG_LINE_MAX / 3);
    }
    this.partial[stream] = rest;
  }

  split(stream, text) {
    let at = 0;
    do {
      this.line(stream, text.slice(at, at + LOG_LINE_MAX / 3));
      at += LOG_LINE_MAX / 3;
    } while (at < text.length);
  }

  // The LOG frame, or nothing.
  frame(call) {
    this.open = false;
    for (const stream of ['stdout', 'stderr']) {
      if (this.partial[stream]) this.line(stream, this.partial[stream]);
    }
    if (this.truncated) {
      this.parts.push(Buffer.from(`${stamp()} stderr: Logs were truncated because the total bytes ` +
        `size exceeds the limit of ${setup.log_max_bytes} bytes.\n`));
    }
    if (this.parts.length === 0) return NOTHING;
    const body = Buffer.concat(this.parts);
    return Buffer.concat([head(LOG, this.truncated ? TRUNCATED : 0, call, body.length), body]);
  }
}

// The context that output belongs to, or null.
function owner() {
  const context = contexts.getStore();
  return context && context.open ? context : null;
}

function redirect(stream, name) {
  const write = stream.write;
  stream.write = function (chunk, encoding, callback) {
    if (loading) return write.call(stream, chunk, encoding, callback);
    const context = owner();
    if (context) context.add(name, typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
    const done = typeof encoding === 'function' ? encoding : callback;
    if (done) process.nextTick(done);
    return true;
  };
}

// Writes to descriptors 1 and 2 that do not pass process.stdout.
function redirectWriteSync() {
  const writeSync = fs.writeSync;
  fs.writeSync = function (fd, data, ...rest) {
    if (loading || (fd !== 1 && fd !== 2)) return writeSync.call(fs, fd, data, ...rest);
    const text = typeof data === 'string' ? data : Buffer.from(data).toString();
    const context = owner();
    if (context) context.add(fd === 1 ? 'stdout' : 'stderr', text);
    return Buffer.byteLength(text);
  };
}

// More slots: from now on output is told apart by the context it is written in.
function tellApart() {
  contexts = new AsyncLocalStorage();
  redirect(process.stdout, 'stdout');
  redirect(process.stderr, 'stderr');
  redirectWriteSync();
  Module.syncBuiltinESMExports();
}

// -------------------------------------------------------------------------------------------------------- frames

const NOTHING = Buffer.alloc(0);
const END_OK = Buffer.alloc(8);

// call: the eight bytes of it
function head(type, flags, call, length) {
  const b = Buffer.alloc(HEAD_BYTES);
  b.writeUInt32LE(length, 0);
  b[4] = type;
  b[5] = flags;
  call.copy(b, 8);
  return b;
}

function errorText(sentence) {
  return wellFormed(JSON.stringify({ error: sentence }));
}

// -------------------------------------------------------------------------------------------------------- loading

// The entry's module and function name: "fn", or "file.fn".
function entry(name, archive) {
  const dot = name.lastIndexOf('.');
  if (archive && dot > 0) return { file: path.join(ACTION, name.slice(0, dot)), name: name.slice(dot + 1) };
  return { file: ACTION, name };
}

async function importModule(file) {
  try {
    return require(file);
  } catch (e) {
    if (e.code !== 'ERR_REQUIRE_ESM') throw e;
    return import(pathToFileURL(require.resolve(file)).href);
  }
}

async function loadArchive(name) {
  const at = entry(name, true);
  if (at.file === ACTION && !fs.existsSync(path.join(ACTION, 'package.json')) &&
      !fs.existsSync(path.join(ACTION, 'index.js'))) {
    throw new Error('Zipped actions must contain either package.json or index.js at the root.');
  }
  const loaded = await importModule(at.file);
  const found = loaded[at.name] || (loaded.default && loaded.default[at.name]);
  return found || (typeof loaded === 'function' ? loaded : undefined);
}

// A single file: what it exports under the name, else its own function of that name.
async function loadFile(file, name) {
  const filename = path.join(ACTION, file.endsWith('.js') || file.endsWith('.mjs') ? file : 'index.js');
  if (file.endsWith('.mjs')) return (await import(pathToFileURL(filename).href))[name];
  return compileFile(fs.readFileSync(path.join(ACTION, file), 'utf8'), filename, name);
}

function compileFile(source, filename, name) {
  let own;
  let tail = '';
  if (isName(name)) {
    globalThis.__narae_entry = (f) => { own = f; };
    tail = `\n;globalThis.__narae_entry(typeof ${name} === 'undefined' ? undefined : ${name});`;
  }
  try {
    const exports = compiled(source, tail, filename);
    const exported = exports && exports[name];
    return typeof exported === 'function' ? exported : own;
  } finally {
    delete globalThis.__narae_entry;
  }
}

// What the module exports. Code that cannot be read is told without our tail, for what is wrong is often noticed only at the end.
function compiled(source, tail, filename) {
  const module_ = new Module(filename, null);
  module_.filename = filename;
  module_.paths = Module._nodeModulePaths(ACTION);
  try {
    module_._compile(source + tail, filename);
  } catch (e) {
    if (!(e instanceof SyntaxError) || tail === '') throw e;
    vm.compileFunction(source.replace(/^#!.*/, ''), ['exports', 'require', 'module', '__filename', '__dirname'], { filename });
    throw e;
  }
  return module_.exports;
}

// A word that can stand for a variable.
function isName(word) {
  if (!/^[A-Za-z_$][\w$]*$/.test(word)) return false;
  try {
    new vm.Script(`typeof ${word}`);
    return true;
  } catch {
    return false;
  }
}

const OUR_FRAME = new RegExp(`^ +at .*(${__filename}:|[( ]node:internal/|[( ]node:vm:)`);

// What was thrown as it is logged: of the stack what is the function's own.
function shown(e) {
  const kept = [];
  for (const line of util.inspect(e).split('\n')) {
    if (!OUR_FRAME.test(line)) kept.push(line);
    else if (line.endsWith(' {')) kept[kept.length - 1] += ' {'; // more about the error follows
  }
  return kept.join('\n');
}

// " (index.js:3)" for code that cannot be read, whose error itself does not say where.
function placeOf(e) {
  if (!(e instanceof SyntaxError) || typeof e.stack !== 'string') return '';
  const place = /^(?:file:\/\/)?\/[^\n]*\/([^/\n]+:[0-9]+)\n/.exec(e.stack);
  return place ? ` (${place[1]})` : '';
}

function setEnv(env) {
  for (const [key, value] of Object.entries(env)) {
    process.env[key] = typeof value === 'string' ? value : JSON.stringify(value);
  }
}

async function load() {
  const name = setup.value.main || 'main';
  const archive = setup.file.endsWith('.zip') || setup.file.endsWith('.tar.gz');
  setEnv(setup.value.env || {});
  process.chdir(ACTION);
  const found = archive ? await loadArchive(name) : await loadFile(setup.file, name);
  if (typeof found !== 'function') {
    throw new Error(`Action entrypoint '${name}' is not a function.`);
  }
  return found;
}

async function initialize() {
  setup = JSON.parse(fs.readFileSync(`/proc/self/fd/${INIT_FD}`, 'utf8'));
  fs.closeSync(INIT_FD);
  native.limit(setup.result_max_bytes);
  if (setup.memory_mb) native.raiseHeap(setup.memory_mb * HEAP_SHARE * (1 << 20));
  if (setup.slots > 1) tellApart();
  let failure = null;
  try {
    main = await load();
  } catch (e) {
    failure = e;
    process.stderr.write(`${shown(e)}\n`);
  }
  loading = false;
  const text = failure ? errorText(`Initialization has failed due to: ${described(failure)}${placeOf(failure)}`) : '';
  send({ type: 'i', value: failure ? 1 : 0, text: text.slice(0, 16 << 10) });
}

// --------------------------------------------------------------------------------------------------------- calls

// A rejection's reason as JSON can carry it.
function plainError(reason) {
  if (!reason) return {};
  if (!(reason instanceof Error)) return reason;
  return { name: reason.name, message: reason.message, stack: reason.stack, ...reason };
}

// A rejected promise is the function's own way to answer with an error.
function rejected(reason) {
  if (isMemory(reason)) return thrown(reason);
  try {
    return answerOf({ error: plainError(reason) });
  } catch (e) {
    return thrown(e);
  }
}

function isMemory(e) {
  return e instanceof RangeError && MEMORY_ERRORS.includes(e.message);
}

// A text of what was thrown, whatever it is.
function described(e) {
  try {
    return `${e}`;
  } catch {
    return 'a value that cannot be shown as text';
  }
}

// JSON.stringify escapes halves of surrogate pairs that stand alone; no JSON of the platform has them. They become what
// they become wherever Node writes text.
function wellFormed(text) {
  if (!text.includes('\\ud')) return text;
  return text.replace(/\\(?:ud[89a-f][0-9a-f]{2}|.)/g, (part) => (part.length > 2 ? '\ufffd' : part));
}

// {text, failed} for a value the function returned.
function answerOf(result) {
  try {
    const text = result === undefined ? '{}' : JSON.stringify(result);
    if (typeof text === 'string' && (text[0] === '{' || text[0] === '[')) return { text: wellFormed(text), failed: false };
    return { text: errorText('The action did not return a dictionary or array.'), failed: true };
  } catch (e) {
    return thrown(e);
  }
}

function thrown(e) {
  if (isMemory(e)) return { text: errorText(MEMORY_SENTENCE), failed: true };
  try {
    process.stderr.write(`${shown(e)}\n`);
  } catch { /* what the function threw, or put in the place of stderr, throws itself */ }
  return { text: errorText(`An error has occurred: ${described(e)}`), failed: true };
}

const variableNames = new Map();

function variableName(key) {
  let name = variableNames.get(key);
  if (name === undefined) {
    name = `__OW_${key.toUpperCase()}`;
    variableNames.set(key, name);
  }
  return name;
}

class Slot {
  constructor(index) {
    this.index = index;
    this.env = new Map(); // as this slot has set it last
    this.buffer = Buffer.allocUnsafeSlow(READ_BYTES); // what a read brings; most often exactly one frame
    this.part = null; // a frame that is not whole yet
    this.filled = 0;
  }

  connect(handle) {
    const socket = new net.Socket({ handle, onread: { buffer: this.buffer, callback: (n) => this.take(n) } });
    this.socket = socket;
    this.fd = handle.fd;
    this.part = null;
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      if (this.socket !== socket) return;
      this.fd = -1;
      this.lost();
    });
  }

  lost() {
    send({ type: 'l', slot: this.index });
  }

  take(count) {
    const data = this.buffer;
    if (this.part === null && count >= HEAD_BYTES && data.readUInt32LE(0) === count - HEAD_BYTES) this.frame(data, count);
    else this.gather(data.subarray(0, count));
  }

  // A frame in several reads.
  gather(data) {
    for (let at = 0; at < data.length;) {
      if (this.part === null) {
        this.part = Buffer.allocUnsafe(HEAD_BYTES);
        this.filled = 0;
      }
      const copied = data.copy(this.part, this.filled, at);
      at += copied;
      this.filled += copied;
      if (this.filled < this.part.length) return;
      const length = this.part.readUInt32LE(0);
      if (length > RUN_MAX_BYTES) { // nothing that the host sends
        this.socket.destroy();
        return;
      }
      const whole = this.part;
      if (whole.length < HEAD_BYTES + length) {
        this.part = Buffer.allocUnsafe(HEAD_BYTES + length);
        whole.copy(this.part);
        continue;
      }
      this.part = null;
      this.frame(whole, whole.length);
    }
  }

  frame(data, length) {
    if (data[4] !== RUN) this.refuse(Buffer.from(data.subarray(8, HEAD_BYTES)));
    else if (contexts) this.runAmongOthers(data, length);
    else this.runAlone(data, length);
  }

  refuse(call) {
    const text = Buffer.from(errorText('Cannot initialize the action more than once.'));
    this.socket.write(Buffer.concat([head(INIT_DONE, FAILED, call, text.length), text,
      head(END, 0, call, END_OK.length), END_OK]));
  }

  setEnv(args) {
    const { env } = this;
    let count = 1; // with the value
    for (const key in args) {
      if (key === 'value') continue;
      count++;
      if (env.get(key) === args[key]) continue;
      env.set(key, args[key]);
      native.setVariable(variableName(key), typeof args[key] === 'string' ? args[key] : JSON.stringify(args[key]));
    }
    if (env.size < count) return;
    for (const key of env.keys()) {
      if (key in args) continue;
      env.delete(key);
      delete process.env[variableName(key)];
    }
  }

  runAlone(data, length) {
    const activity = native.begin(this.index, data);
    this.call(data, length, (answer) => this.answer(answer, answer.failed ? TAINTED : OK, activity));
  }

  runAmongOthers(data, length) {
    const call = Buffer.from(data.subarray(8, HEAD_BYTES));
    const context = new Context();
    native.begin(this.index, data);
    contexts.run(context, () => this.call(data, length, (answer) => {
      const log = context.frame(call);
      this.answer(answer, answer.failed || context.truncated ? TAINTED : OK, 0, log);
    }));
  }

  // Calls the function; `done` gets {text, failed}, now or later.
  call(data, length, done) {
    let answer;
    try {
      const args = JSON.parse(data.toString('utf8', HEAD_BYTES, length));
      this.setEnv(args);
      const result = main(args.value);
      if (result && typeof result.then === 'function') {
        Promise.resolve(result).then((value) => done(answerOf(value)), (reason) => done(rejected(reason)));
        return;
      }
      answer = answerOf(result);
    } catch (e) {
      answer = thrown(e);
    }
    done(answer);
  }

  answer(answer, verdict, activity, log) {
    const left = native.answer(this.index, this.fd, answer.text, answer.failed ? FAILED : 0, verdict, activity, log);
    if (left === 0) return;
    if (left === 1) {
      this.tell(verdict);
      return;
    }
    this.socket.write(left.rest, () => { // the kernel has all of it: others may write on this connection
      native.answered(this.index);
      if (left.tell) this.tell(verdict);
    });
  }

  // Asks the agent for LOG and END of the call it reads in the page.
  tell(verdict) {
    send({ type: 'd', slot: this.index, call: native.call(this.index), value: verdict });
  }
}

// ------------------------------------------------------------------------------------------------------ rehearsal

const REHEARSED = `const path = require('path');
class Thing { constructor(a) { this.a = { ...a, n: [1, 2].map((x) => x * 2) }; } }
function main(args) { const { a } = new Thing(args); return { a, text: \`\${path.sep} \${Object.keys(args)}\` }; }
`;

class Rehearsal extends Slot {
  lost() {
    for (const key of this.env.keys()) delete process.env[variableName(key)];
    native.forget(REHEARSAL_SLOT);
    setup = null;
    main = null;
    send({ type: 'b' });
  }
}

// Serves one call of the agent's own; its end is the end of the rehearsal.
function rehearse(handle) {
  const slot = new Rehearsal(REHEARSAL_SLOT);
  fs.readFileSync(`/proc/self/fd/${INIT_FD}`, 'utf8');
  setup = JSON.parse('{"value":{"main":"main","env":{}},"file":"index.js","slots":1}');
  setEnv(setup.value.env);
  process.chdir(ACTION);
  main = compileFile(REHEARSED, path.join(ACTION, 'index.js'), 'main');
  slot.connect(handle);
}

// -------------------------------------------------------------------------------------------------------- control

native.open(PAGE_FD);

const heard = {
  P: (message, handle) => rehearse(handle),
  I: () => initialize(),
  S: (message, handle) => {
    const slot = new Slot(message.slot);
    slots.set(message.slot, slot);
    slot.connect(handle);
  },
  R: (message, handle) => slots.get(message.slot).connect(handle),
};

process.on('message', (message, handle) => {
  if (heard[message.type]) heard[message.type](message, handle);
});
process.on('disconnect', () => process.exit(1));
process.send = undefined; // the channel is ours, not the function's
process.disconnect = undefined;
for (const stream of [process.stdout, process.stderr]) {
  // Else what does not fit into the pipe would be written after the call, or never.
  if (stream._handle && stream._handle.setBlocking) stream._handle.setBlocking(true);
}

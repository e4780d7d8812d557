'use strict';
// Runs Node functions: loads the code once, then serves calls on the slots' own connections.
//
// The process is started with its container, before the code is known. The agent talks to it over Node's own IPC
// channel (3), for only that can hand a connection to a Node program; a memory file has the JSON of INIT (4), and one
// page is shared with the agent (5). runtimes/agent/control.h describes all three, ports/frames.h the frames.
//
//   load        the agent says 'I': import what INIT names, answer 'i'
//   serve       the agent says 'S' with a connection, once per slot; one process serves all slots
//   each call   read RUN, set __OW_* variables, call the function in a context of its own, write ANSWER
//   logs        one slot: what is written while a call runs goes to the pipes, which the agent reads; a call that wrote
//               gets LOG and END from the agent, any other its END from here, in the same write as ANSWER.
//               more slots: output is told apart by the context it is written in, and LOG and END come from here
//   errors      a function that throws fails and the container is used no more; a rejected promise is the function's
//               own way to answer with an error
const { AsyncLocalStorage } = require('async_hooks');
const fs = require('fs');
const Module = require('module');
const path = require('path');
const { pathToFileURL } = require('url');
const util = require('util');

const INIT_FD = 4;
const PAGE_FD = 5;
const ACTION = process.env.NARAE_ACTION || '/action';

// frames
const INIT_DONE = 2, ANSWER = 3, LOG = 4, END = 5, RUN = 17;
const FAILED = 2, TRUNCATED = 4;
const OK = 0, TAINTED = 3;
const HEAD_BYTES = 16;
const RUN_MAX_BYTES = 8192 + (4 << 20);

// one slot's line of the shared page
const LINE_BYTES = 64, ACTIVITY = 0, ANSWERING = 4, CALL = 8;

const LOG_LINE_MAX = 64 << 10;
const MEMORY_SENTENCE = 'The action exhausted its memory and was aborted.';
const MEMORY_ERRORS = ['Invalid string length', 'Array buffer allocation failed'];

const contexts = new AsyncLocalStorage();
const send = process.send.bind(process);
const slots = new Map();
let setup = null;
let main = null;
let single = true; // one slot
let current = null; // one slot: the context that is open, INIT's included
let others = false; // our pipes may have bytes that were not written through process.stdout and process.stderr

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

// What one call writes.
class Context {
  constructor() {
    this.open = true;
    this.wrote = false;
    this.parts = []; // more slots: formatted lines
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
    for (const stream of ['stdout', 'stderr']) {
      if (this.partial[stream]) this.line(stream, this.partial[stream]);
    }
    if (this.truncated) {
      this.parts.push(Buffer.from(`${stamp()} stderr: Logs were truncated because the total bytes ` +
        `size exceeds the limit of ${setup.log_max_bytes} bytes.\n`));
    }
    if (this.parts.length === 0) return [];
    const body = Buffer.concat(this.parts);
    return [head(LOG, this.truncated ? TRUNCATED : 0, call, body.length), body];
  }
}

// The context that output belongs to, or null.
function owner() {
  const context = contexts.getStore() || (single ? current : null);
  return context && context.open ? context : null;
}

function redirect(stream, name) {
  const write = stream.write;
  // Else what does not fit into the pipe would be written after the call, or never.
  if (stream._handle && stream._handle.setBlocking) stream._handle.setBlocking(true);
  stream.write = function (chunk, encoding, callback) {
    const context = owner();
    if (context) {
      context.wrote = true;
      if (single) return write.call(stream, chunk, encoding, callback);
      context.add(name, typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
    }
    const done = typeof encoding === 'function' ? encoding : callback;
    if (done) process.nextTick(done);
    return true;
  };
}

// Writes to descriptors 1 and 2 that do not pass process.stdout.
function redirectWriteSync() {
  const writeSync = fs.writeSync;
  fs.writeSync = function (fd, data, ...rest) {
    if (fd !== 1 && fd !== 2) return writeSync.call(fs, fd, data, ...rest);
    const context = owner();
    if (!context) return typeof data === 'string' ? Buffer.byteLength(data) : data.length;
    context.wrote = true;
    if (single) return writeSync.call(fs, fd, data, ...rest);
    const text = typeof data === 'string' ? data : Buffer.from(data).toString();
    context.add(fd === 1 ? 'stdout' : 'stderr', text);
    return Buffer.byteLength(text);
  };
}

// What can put bytes into our pipes, or keep a descriptor of them, without passing the functions above: children, threads,
// native code, and files opened for writing (/dev/stdout is one). All forms of import end in these bindings.
function watchOthers() {
  const note = (object, name, unseen) => {
    const original = object[name];
    object[name] = function (...args) {
      others ||= unseen(args);
      return Reflect.apply(original, this, args);
    };
  };
  const always = () => true;
  const ours = ([fd]) => fd === 1 || fd === 2;
  const writes = ([, flags]) => typeof flags !== 'number' || (flags & 3) !== 0;
  try {
    const files = process.binding('fs');
    for (const name of ['writeBuffer', 'writeBuffers', 'writeString']) note(files, name, ours);
    for (const name of ['open', 'openFileHandle', 'copyFile', 'writeFileUtf8']) {
      if (files[name]) note(files, name, writes);
    }
    note(process.binding('spawn_sync'), 'spawn', always);
    note(process.binding('process_wrap').Process.prototype, 'spawn', always);
    note(process, 'dlopen', always);
    const threads = require('worker_threads');
    threads.Worker = new Proxy(threads.Worker, {
      construct(...args) { others = true; return Reflect.construct(...args); },
    });
    Module.syncBuiltinESMExports();
  } catch {
    others = true; // a Node that has no such insides: then every call's END comes from the agent
  }
}

// -------------------------------------------------------------------------------------------------------- frames

function head(type, flags, call, length) {
  const b = Buffer.allocUnsafe(HEAD_BYTES);
  b.writeUInt32LE(length, 0);
  b[4] = type;
  b[5] = flags;
  b.writeUInt16LE(0, 6);
  b.writeBigUInt64LE(call, 8);
  return b;
}

function endFrame(verdict, call) {
  const body = Buffer.alloc(8);
  body[0] = verdict;
  return [head(END, 0, call, 8), body];
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
  const source = fs.readFileSync(path.join(ACTION, file), 'utf8');
  const module_ = new Module(filename, null);
  module_.filename = filename;
  module_.paths = Module._nodeModulePaths(ACTION);
  let own;
  let tail = '';
  if (/^[A-Za-z_$][\w$]*$/.test(name)) {
    globalThis.__narae_entry = (f) => { own = f; };
    tail = `\n;globalThis.__narae_entry(typeof ${name} === 'undefined' ? undefined : ${name});`;
  }
  module_._compile(source + tail, filename);
  delete globalThis.__narae_entry;
  const exported = module_.exports && module_.exports[name];
  return typeof exported === 'function' ? exported : own;
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
  single = (setup.slots || 1) === 1;
  const context = new Context();
  const wasSingle = single;
  single = true; // what INIT writes goes to the pipes, however many slots there will be
  current = context;
  let failure = null;
  try {
    main = await contexts.run(context, load);
  } catch (e) {
    failure = e;
    process.stderr.write(`${util.inspect(e)}\n`);
  }
  context.open = false;
  current = null;
  single = wasSingle;
  const text = failure ? errorText(`Initialization has failed due to: ${failure}`) : '';
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
    process.stderr.write(`${util.inspect(e)}\n`);
  } catch { /* what the function threw, or put in the place of stderr, throws itself */ }
  return { text: errorText(`An error has occurred: ${described(e)}`), failed: true };
}

class Slot {
  constructor(index) {
    this.index = index;
    this.at = index * LINE_BYTES;
    this.begun = 0;
    this.ended = 0;
    this.env = {};
    this.line = Buffer.alloc(16); // call, begun, ended
    this.word = Buffer.alloc(4);
  }

  connect(socket) {
    this.socket = socket;
    this.buffered = null;
    this.broken = false;
    socket.on('data', (data) => this.take(data));
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      if (this.socket === socket) send({ type: 'l', slot: this.index });
    });
  }

  // Bytes came: most often exactly one frame.
  take(data) {
    if (this.broken) return;
    if (this.buffered) data = Buffer.concat([this.buffered, data]);
    this.buffered = null;
    while (data.length >= HEAD_BYTES) {
      const length = data.readUInt32LE(0);
      if (length > RUN_MAX_BYTES) {
        this.broken = true;
        this.socket.destroy();
        return;
      }
      const whole = HEAD_BYTES + length;
      if (data.length < whole) {
        this.wait(data, whole);
        return;
      }
      this.frame(data[4], data.readBigUInt64LE(8), data.subarray(HEAD_BYTES, whole));
      data = data.subarray(whole);
    }
    if (data.length > 0) this.buffered = data;
  }

  // A large frame is gathered in one buffer, so that its parts are copied once.
  wait(data, whole) {
    const buffer = Buffer.allocUnsafe(whole);
    let filled = data.copy(buffer);
    const take = this.take;
    this.take = (more) => {
      const part = more.copy(buffer, filled, 0, whole - filled);
      filled += part;
      if (filled < whole) return;
      this.take = take;
      this.take(buffer);
      if (part < more.length) this.take(more.subarray(part));
    };
  }

  frame(type, call, payload) {
    if (type === RUN) {
      this.run(call, payload);
      return;
    }
    const text = Buffer.from(errorText('Cannot initialize the action more than once.'));
    this.write([head(INIT_DONE, FAILED, call, text.length), text, ...endFrame(OK, call)]);
  }

  setEnv(args) {
    const env = this.env;
    for (const key in args) {
      if (key !== 'value' && env[key] !== args[key]) {
        env[key] = args[key];
        process.env[`__OW_${key.toUpperCase()}`] =
          typeof args[key] === 'string' ? args[key] : JSON.stringify(args[key]);
      }
    }
    for (const key in env) {
      if (!(key in args)) {
        delete env[key];
        delete process.env[`__OW_${key.toUpperCase()}`];
      }
    }
  }

  begin(call) {
    this.begun = (this.begun + 1) >>> 0;
    this.line.writeBigUInt64LE(call, 0);
    this.line.writeUInt32LE(this.begun, 8);
    this.line.writeUInt32LE(this.ended, 12);
    fs.writeSync(PAGE_FD, this.line, 0, 16, this.at + CALL);
    return this.activity();
  }

  activity() {
    if (!single) return 0;
    fs.readSync(PAGE_FD, this.word, 0, 4, this.at + ACTIVITY);
    return this.word.readUInt32LE(0);
  }

  run(call, payload) {
    const context = new Context();
    const activity = this.begin(call);
    if (single) current = context;
    contexts.run(context, () => {
      const finish = (answer) => this.finish(call, context, activity, answer);
      let answer;
      try {
        const args = JSON.parse(payload.toString());
        this.setEnv(args);
        const result = main(args.value);
        if (result && typeof result.then === 'function') {
          Promise.resolve(result).then((value) => finish(answerOf(value)), (reason) => finish(rejected(reason)));
          return;
        }
        answer = answerOf(result);
      } catch (e) {
        answer = thrown(e);
      }
      finish(answer);
    });
  }

  finish(call, context, activity, answer) {
    let body = Buffer.from(answer.text);
    let flags = answer.failed ? FAILED : 0;
    if (body.length > setup.result_max_bytes) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(body.length));
      flags |= TRUNCATED;
      body = Buffer.concat([length, body.subarray(0, setup.result_max_bytes)]);
    }
    context.open = false;
    if (current === context) current = null;
    const verdict = answer.failed ? TAINTED : OK;
    const frames = [head(ANSWER, flags, call, body.length), body];
    if (single && (context.wrote || others || activity % 2 || this.activity() !== activity)) {
      this.write(frames, () => send({ type: 'd', slot: this.index, call: String(call), value: verdict }));
      return;
    }
    const log = single ? [] : context.frame(call);
    frames.push(...log, ...endFrame(context.truncated ? TAINTED : verdict, call));
    this.ended = (this.ended + 1) >>> 0;
    this.line.writeUInt32LE(this.ended, 12);
    fs.writeSync(PAGE_FD, this.line, 12, 4, this.at + CALL + 12);
    this.write(frames);
  }

  // Writes frames in one go; `then` once the kernel has all of them, for others write on this connection too. While
  // some of them wait, the agent is told that the stream stands in the middle of a frame.
  write(frames, then) {
    const socket = this.socket;
    let done = false;
    socket.write(Buffer.concat(frames), () => {
      if (done) this.answering(0);
      done = true;
      if (then) then();
    });
    if (!done && socket.writableLength > 0) {
      done = true;
      this.answering(1);
    }
  }

  answering(value) {
    this.word.writeUInt32LE(value, 0);
    fs.writeSync(PAGE_FD, this.word, 0, 4, this.at + ANSWERING);
  }
}

// -------------------------------------------------------------------------------------------------------- control

const heard = {
  I: () => initialize(),
  S: (message, socket) => {
    const slot = new Slot(message.slot);
    slots.set(message.slot, slot);
    slot.connect(socket);
  },
  R: (message, socket) => slots.get(message.slot).connect(socket),
};

process.on('message', (message, socket) => {
  if (heard[message.type]) heard[message.type](message, socket);
});
process.on('disconnect', () => process.exit(1));
process.send = undefined; // the channel is ours, not the function's
process.disconnect = undefined;
redirect(process.stdout, 'stdout');
redirect(process.stderr, 'stderr');
redirectWriteSync();
watchOthers();

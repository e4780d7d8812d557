// One function that behaves in every way the contract's cases ask for.
let count = 0;
console.log('loaded');

async function sleep(value) {
  console.log(`begin ${value.tag}`);
  await new Promise((resolve) => setTimeout(resolve, value.ms));
  console.log(`end ${value.tag}`);
  return { tag: value.tag };
}

function memory() {
  const kept = [];
  for (;;) kept.push(new Array(1 << 16).fill(kept.length));
}

function main(value) {
  count++;
  switch (Array.isArray(value) ? 'echo' : value.do) {
    case 'echo': return value;
    case 'log':
      for (let n = 0; n < value.lines; n++) {
        console.log(`out ${value.tag} ${n}`);
        console.error(`err ${value.tag} ${n}`);
      }
      return { tag: value.tag };
    case 'error': return { error: 'bad luck', more: 1 };
    case 'scalar': return 3;
    case 'throw': throw new Error('boom');
    case 'reject': return Promise.reject(new Error('boom'));
    case 'nothing': return undefined;
    case 'exit': return process.exit(3);
    case 'env': return Object.fromEntries(value.names.map((n) => [n, process.env[n] || '']));
    case 'flood':
      for (let n = 0; n < value.lines; n++) console.log('x'.repeat(99));
      return { done: true };
    case 'bytes':
      process.stdout.write(Buffer.concat([Buffer.from('a\0b'), Buffer.from([0xff, 0xfe]), Buffer.from('c\n'),
        Buffer.from('y'.repeat(200000) + '\n'), Buffer.from('z\u00e9'.repeat(40000) + '\n')]));
      return {};
    case 'big': return { x: 'a'.repeat(value.bytes) };
    case 'memory': return memory();
    case 'count': return { count, pid: process.pid };
    case 'sleep': return sleep(value);
    case 'client': return { overwhisk: typeof require('openwhisk')({ apihost: 'x', api_key: 'a:b' }).actions.invoke };
    case 'child': require('child_process').execSync('echo from a child', { stdio: 'inherit' }); return {};
    default: throw new Error(value.do);
  }
}

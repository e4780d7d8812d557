// A garbage-collected heap that works harder the smaller it is: 220 MB live, six million of its objects replaced. The heap
// is three quarters of the memory limit, so a small limit first costs collections, then the heap is full.
const LIVE = 1000000, NUMBERS = 24, REPLACED = 6000000;

function made(i) {
  const numbers = new Array(NUMBERS);
  for (let k = 0; k < NUMBERS; k++) numbers[k] = i + k;
  return numbers;
}

function main(args) {
  const live = new Array(LIVE);
  let s = 1;
  for (let i = 0; i < LIVE; i++) live[i] = made(i);
  for (let i = 0; i < (args.replaced || REPLACED); i++) {
    s = (Math.imul(1103515245, s) + 12345) & 0x7fffffff;
    live[s % LIVE] = made(i);
  }
  return {last: live[s % LIVE][0], live: live.length};
}

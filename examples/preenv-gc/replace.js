// A garbage-collected heap that works harder the smaller it is: 220 MB live, six million of its objects replaced. The heap
// is three quarters of the memory limit, so a small limit first costs collections, then the heap is full.
const LIVE = 3400000, REPLACED = 6000000;

function main(args) {
  const live = new Array(LIVE);
  let s = 1;
  for (let i = 0; i < LIVE; i++) live[i] = {a: i, b: i + 1, c: i + 2, d: i + 3};
  for (let i = 0; i < (args.replaced || REPLACED); i++) {
    s = (Math.imul(1103515245, s) + 12345) & 0x7fffffff;
    live[s % LIVE] = {a: i, b: i + 1, c: i + 2, d: i + 3};
  }
  return {last: live[s % LIVE].a, live: live.length};
}

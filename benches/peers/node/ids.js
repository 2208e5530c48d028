// Ids that grow with time (UUID version 7), so that new rows go to the end of their indexes.

import { randomFillSync } from 'node:crypto';

// Chance is drawn for many ids at once.
const pool = Buffer.alloc(4096);
let used = pool.length;

export function newId(now) {
  if (used + 10 > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const octets = Buffer.allocUnsafe(16);
  octets.writeUIntBE(now, 0, 6);
  pool.copy(octets, 6, used, used + 10);
  used += 10;
  octets[6] = (octets[6] & 0x0f) | 0x70;
  octets[8] = (octets[8] & 0x3f) | 0x80;
  const hex = octets.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

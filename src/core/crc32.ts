/**
 * CRC-32 (ISO 3309, polynomial 0xedb88320 reflected): the checksum of PNG, ZIP, gzip and of everything this program
 * stores. Finds every burst of up to 32 flipped bits; what it does not find has a chance of 2^-32.
 *
 * Eight bytes a round through eight tables ("slicing by 8", Kounavis and Berry 2005): table k holds the effect of a byte
 * followed by k zero bytes.
 */

const tables = new Uint32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  tables[byte] = value;
}
for (let i = 256; i < tables.length; i++) {
  const shorter = tables[i - 256] as number;
  tables[i] = (shorter >>> 8) ^ (tables[shorter & 0xff] as number);
}

/**
 * Checksum of bytes, as u32. With the checksum of what came before, that of both together:
 * `crc32(b, crc32(a))` is the checksum of a followed by b.
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  const t = tables;
  const at = (i: number): number => bytes[i] as number;
  let crc = ~before;
  let i = 0;
  for (const end = bytes.length - 7; i < end; i += 8) {
    crc ^= at(i) | (at(i + 1) << 8) | (at(i + 2) << 16) | (at(i + 3) << 24);
    crc =
      (t[1792 + (crc & 0xff)] as number) ^
      (t[1536 + ((crc >>> 8) & 0xff)] as number) ^
      (t[1280 + ((crc >>> 16) & 0xff)] as number) ^
      (t[1024 + (crc >>> 24)] as number) ^
      (t[768 + at(i + 4)] as number) ^
      (t[512 + at(i + 5)] as number) ^
      (t[256 + at(i + 6)] as number) ^
      (t[at(i + 7)] as number);
  }
  for (; i < bytes.length; i++) crc = (t[(crc ^ at(i)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

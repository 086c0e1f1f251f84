/** What a file is that is not a weight file, told from its first bytes: for messages that help. */

const signatures: readonly (readonly [string, string])[] = [
  ['\x89PNG\r\n', 'a PNG picture'],
  ['\xff\xd8\xff', 'a JPEG picture'],
  ['GIF8', 'a GIF picture'],
  ['%PDF', 'a PDF document'],
  ['\x1f\x8b', 'gzip-compressed'],
  ['\x28\xb5\x2f\xfd', 'zstd-compressed'],
  ['\xfd7zXZ', 'xz-compressed'],
  ['BZh', 'bzip2-compressed'],
  ['7z\xbc\xaf', 'a 7-Zip archive'],
  ['Rar!', 'a RAR archive'],
  ['PK\x03\x04', 'a ZIP archive, such as a .pt checkpoint'],
  ['PK\x05\x06', 'an empty ZIP archive'],
  ['GGUF', 'a GGUF file (llama.cpp)'],
  ['ggml', 'a GGML file'],
  ['\x89HDF\r\n', 'an HDF5 file, such as a Keras .h5'],
  ['\x93NUMPY', 'a NumPy array'],
  ['\x7fELF', 'a program'],
  ['MZ', 'a program'],
  ['-----BEGIN', 'a key or certificate'],
];

/**
 * What bytes at the start of a file plainly are, as the end of a sentence ("it is …"); undefined when they are not
 * known.
 *
 * @param head the first bytes, 512 if there are as many
 */
export function knownKind(head: Uint8Array): string | undefined {
  if (head.length === 0) return 'empty';
  const text = new TextDecoder('latin1').decode(head);
  if (text.startsWith('version https://git-lfs')) return 'a Git LFS pointer, not the file it points to';
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'a WebP picture';
  // Before the signatures: a header's length may spell any of the short ones.
  if (beginsAsSafetensors(head)) return 'a safetensors file';
  const known = signatures.find(([start]) => text.startsWith(start));
  if (known) return known[1];
  if (text.slice(257, 262) === 'ustar') return 'a tar archive';
  if (head[0] === 0x80 && (head[1] ?? 255) <= 5) return 'a Python pickle';
  const start = text.replace(/^\xef\xbb\xbf/, '').trimStart();
  if (/^<(!doctype|html|head|\?xml)/i.test(start)) return 'a web page';
  if (/^[[{]/.test(start) && isText(head)) return 'JSON';
  return isText(head) ? `text beginning ${JSON.stringify(start.slice(0, 40))}` : undefined;
}

/** Whether the bytes begin as a safetensors file does: a header's length (64 bits, below 100 MB), then its brace. */
export function beginsAsSafetensors(head: Uint8Array): boolean {
  return head[8] === 0x7b && head.subarray(4, 8).every((byte) => byte === 0) && (head[3] ?? 255) <= 5;
}

function isText(head: Uint8Array): boolean {
  return head.every((byte) => byte >= 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
}

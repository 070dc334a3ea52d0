/**
 * The small store that `spec/format.md` shows in hex: made anew by the store itself each time, the
 * same bytes every time.
 *
 * What is not the same from one run to the next (the salt, the clock) is fixed while it is made, and
 * put back afterwards. Three batches, so that every operation but the dropping of a map is there.
 */

import { type FileSystem, memoryFileSystem, Store } from '../src/index.ts';

const path = 'example.varve';
const firstMillisecond = Date.UTC(2022, 0, 1);
const millisecondsPerCommit = 1000;

/** Every byte of the example, closed. */
export async function exampleStore(): Promise<Uint8Array> {
  const fileSystem = memoryFileSystem();
  const restore = fixSaltAndClock();
  try {
    await fill(fileSystem);
  } finally {
    restore();
  }
  return await contentOf(fileSystem);
}

async function fill(fileSystem: FileSystem): Promise<void> {
  const store = await Store.open(path, { fileSystem });
  const text = new TextEncoder();
  const first = store.session();
  const silt = first.push(text.encode('The river brings silt.'));
  const layer = first.push(text.encode('Each year it settles as one more layer.'));
  await first.commit();
  const second = store.session();
  second.archive(silt);
  second.setEmbeddedHeader(second.push(text.encode('A core shows them all.')));
  await second.commit();
  const third = store.session();
  third.archive(layer);
  third.checkpointTo(2);
  await third.commit();
  await store.close();
}

/** Salt and clock become predictable until the returned function is called. */
export function fixSaltAndClock(): () => void {
  const { crypto } = globalThis;
  const now = Date.now;
  let commits = 0;
  const getRandomValues = (bytes: Uint8Array): Uint8Array => {
    for (const at of bytes.keys()) bytes[at] = 0xa0 + at;
    return bytes;
  };
  Object.defineProperty(crypto, 'getRandomValues', { value: getRandomValues, configurable: true });
  Date.now = () => firstMillisecond + millisecondsPerCommit * commits++;
  return () => {
    Reflect.deleteProperty(crypto, 'getRandomValues');
    Date.now = now;
  };
}

async function contentOf(fileSystem: FileSystem): Promise<Uint8Array> {
  const file = await fileSystem.open(path, { create: false, exclusive: false, readOnly: true });
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  await file.close();
  return bytes;
}

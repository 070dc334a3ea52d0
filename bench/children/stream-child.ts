/**
 * A process that copies a file: into a store as one value, out of one, or to another file without a
 * store. It says how long that took until it was durable, and how much memory the process ever had.
 *
 * Invariant: each way opens a store. So what a process takes beyond the one that copies in the same
 * way without a store is the stream's.
 */

import { copyFile, type FileHandle, open } from 'node:fs/promises';
import { type GrainId, Store } from '../../src/index.ts';
import { processMemory } from '../support/process-memory.ts';
import type { CopyAnswer, CopyTask } from '../support/stream-copies.ts';

const callBytes = 512 * 1024;
const chunkBytes = 256 * 1024;

/** Chunks of the file, all in one memory, or each in a new one as long as those of a stream. */
async function* chunksOf(file: FileHandle, areNew = false): AsyncGenerator<Uint8Array> {
  let memory = new Uint8Array(areNew ? chunkBytes : callBytes);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(memory, 0, memory.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield memory.subarray(0, bytesRead);
    if (areNew) memory = new Uint8Array(chunkBytes);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, from: number): Promise<number> {
  let at = 0;
  while (at < bytes.length) {
    at += (await file.write(bytes, at, bytes.length - at, from + at)).bytesWritten;
  }
  return at;
}

async function copy(from: AsyncIterable<Uint8Array>, to: FileHandle): Promise<void> {
  let at = 0;
  for await (const chunk of from) at += await writeAll(to, chunk, at);
  await to.datasync();
}

/** Chunks that the stream reads into the consumer's memory. */
async function* ownChunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader({ mode: 'byob' });
  let memory = new Uint8Array(callBytes);
  for (;;) {
    const { done, value } = await reader.read(memory);
    if (done || value === undefined) return;
    yield value;
    memory = new Uint8Array(value.buffer);
  }
}

const task = JSON.parse(process.argv[2] ?? '{}') as CopyTask;
const store = await Store.open(task.store);
const source = await open(task.source);
const target = task.way === 'in' ? undefined : await open(task.target, 'w');
const stored = (): ReadableStream<Uint8Array> => {
  const stream = store.createReadStream(store.embeddedHeader as GrainId);
  if (stream === undefined) throw new Error('the store has no value');
  return stream;
};
const began = performance.now();
if (target === undefined) {
  const session = store.session();
  const { size: length } = await source.stat();
  session.setEmbeddedHeader(await session.pushStream(chunksOf(source), { length }));
  await session.commit();
} else if (task.way === 'kernel') {
  await copyFile(task.source, task.target);
  await target.datasync();
} else if (task.way === 'plain') await copy(chunksOf(source), target);
else if (task.way === 'new') await copy(chunksOf(source, true), target);
else if (task.way === 'out') await copy(stored(), target);
else await copy(ownChunksOf(stored()), target);
const milliseconds = performance.now() - began;
const { peakBytes } = processMemory();
await target?.close();
await source.close();
await store.close();
const answer: CopyAnswer = { milliseconds, peakBytes };
console.log(JSON.stringify(answer));

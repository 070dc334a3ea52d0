/**
 * `npm run bench -- micro`: the pieces that every commit and every get are made of, with tinybench:
 * checksums, records of the commit log, mark pages, ids.
 *
 * In memory only: no file, no sync. What is shown is the time of one operation; there are no goals,
 * but a figure that moves between two versions says where the time went.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { joinGrainId, split, splitGrainId } from '../src/format/grain-id.ts';
import { encodeMarkPage, openMarkPage } from '../src/format/grain-map.ts';
import { marksBytes, saltBytes } from '../src/format/layout.ts';
import { decodeLogRecord, LogRecordWriter } from '../src/format/log-record.ts';
import { crc32 } from '../src/util/crc.ts';
import type { Answer, AnswerSection } from './support/answer.ts';
import { bytesText, countText, plural, tableText, timeText } from './support/figures.ts';
import { machineOf, machineText } from './support/machine.ts';
import { type BenchTask, measure, spreadOfTask } from './support/measuring.ts';
import { Payload } from './support/payload.ts';

const payload = new Payload();
/** What is computed lands here, so that none of it can be left out. */
let sink = 0;

/** One call does `operations` of them. */
function task(name: string, operations: number, operation: () => number): BenchTask {
  const run = (): number => {
    for (let done = 0; done < operations; done++) sink += operation();
    return sink;
  };
  return { name, operations, async: false, run };
}

function checksums(): BenchTask[] {
  return [16, 64, 256, 1024, 4096, 65_536].map((length) => {
    const bytes = payload.next(length).slice();
    return task(`crc of ${bytesText(length)}`, length > 4096 ? 20 : 500, () => crc32(bytes));
  });
}

function encodedRecord(values: number): Uint8Array {
  const writer = new LogRecordWriter({
    batch: 1_000,
    committedAt: 1_700_000_000_000,
    embeddedHeader: 0n,
    checkpoint: 900,
    retainedLogBytes: 100_000,
  });
  for (let at = 0; at < values; at++) {
    const length = (at * 37) % 500;
    const count = Math.ceil((length + 8) / 32);
    writer.allocate({ basin: 0, stratum: 0, index: at * 16, count, length }, at);
  }
  return writer.finish();
}

function records(): BenchTask[] {
  return [1, 20, 1_000].flatMap((values) => {
    const body = encodedRecord(values).slice();
    const operations = Math.ceil(500 / values);
    const text = plural(values, 'value');
    return [
      task(`encode a record of ${text}`, operations, () => encodedRecord(values).length),
      task(
        `decode a record of ${text}`,
        operations,
        () => decodeLogRecord(body, undefined).operations.length,
      ),
    ];
  });
}

function markPages(): BenchTask[] {
  const marks = payload.next(marksBytes).slice();
  const salt = payload.next(saltBytes).slice();
  const place = { page: 17, generation: 3, stamp: 900 };
  const { bytes, crc } = encodeMarkPage(marks, place, salt);
  const name = { ...place, length: bytes.length, crc };
  return [
    task('encode a mark page', 100, () => encodeMarkPage(marks, place, salt).crc),
    task('check a mark page', 100, () => openMarkPage(bytes, name, salt).stamp),
  ];
}

function ids(): BenchTask[] {
  const all = Array.from({ length: 1_000 }, (_, at) => joinGrainId(0, at % 7, at * 1_001));
  let next = 0;
  return [
    task('split an id', 1_000, () => {
      splitGrainId(all[next] as bigint);
      next = next === 999 ? 0 : next + 1;
      return split.index;
    }),
    task('join an id', 1_000, () => {
      next = next === 999 ? 0 : next + 1;
      return joinGrainId(0, 3, next) === undefined ? 1 : 0;
    }),
  ];
}

const { quick, json } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
}).values;
const print = json === '-' ? console.error : console.log;
const machine = machineOf('.');
const title = 'The pieces of a commit and a get, in memory';
print(`${title}\n${machineText(machine)}\n`);
const tasks = [...checksums(), ...records(), ...markPages(), ...ids()];
const effort = quick ? { rounds: 2, time: 20 } : { rounds: 3, time: 200 };
const spreads = await measure(tasks, effort);
const rows = tasks.map(({ name }) => {
  const { median, p25, p75, p99, samples } = spreadOfTask(spreads, name);
  return [name, timeText(median), timeText(p25), timeText(p75), timeText(p99), countText(samples)];
});
const table = tableText(['', 'median', 'p25', 'p75', 'p99', 'samples'], rows);
print(table);
if (json !== undefined) {
  const section: AnswerSection = {
    title: 'pieces',
    text: table,
    figures: {},
    charts: [],
    contestants: [...spreads].map(([name, milliseconds]) => ({ name, milliseconds })),
  };
  const content: Answer = { name: 'micro', title, quick, machine, sections: [section], goals: [] };
  const text = `${JSON.stringify(content, undefined, 2)}\n`;
  if (json === '-') process.stdout.write(text);
  else writeFileSync(json, text);
}

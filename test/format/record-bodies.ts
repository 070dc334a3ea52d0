/**
 * Bodies of log records from lists of operations, as the arbitraries make them.
 *
 * Invariant: what `decodeLogRecord` gives back of a body are the operations that it was made from.
 * Which records make sense in which store is not known here.
 */

import {
  type LogOperation,
  LogRecordWriter,
  type RecordPreamble,
} from '../../src/format/log-record.ts';

export function recordBody(before: RecordPreamble, list: readonly LogOperation[]): Uint8Array {
  const writer = new LogRecordWriter(before, 16);
  for (const one of list) add(writer, one);
  return writer.finish();
}

function add(writer: LogRecordWriter, one: LogOperation): void {
  if (one.operation === 'allocate') {
    if (one.bytes === undefined) writer.allocate(one, one.crc);
    else writer.carry(one, one.bytes, 0);
  } else if (one.operation === 'archive') writer.archive(one);
  else if (one.operation === 'free') writer.free(one);
  else if (one.operation === 'add-basin') writer.addBasin(one.basin);
  else if (one.operation === 'add-stratum') {
    writer.addStratum(one.basin, one.stratum, one.grainExp);
  } else if (one.operation === 'add-map') writer.addMap(one);
  else writer.dropMap(one);
}

/**
 * Documents and their names: each generation in the slot that the one before it left alone.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DocumentPlace,
  decodeDocumentName,
  encodeDocumentName,
  noDocument,
  openDocument,
  sealDocument,
  slotPage,
} from '../../src/format/document.ts';
import { documentNameBytes, kindBasin, kindRoot, sealBytes } from '../../src/format/layout.ts';
import { ByteReader, ByteWriter } from '../../src/util/cursor.ts';
import {
  documentName,
  expectCorrupt,
  expectSoundOrCorrupt,
  flipped,
  salt,
  u32,
  u48,
  upTo,
} from './arbitraries.ts';

function decoded(bytes: Uint8Array) {
  return decodeDocumentName(new ByteReader(bytes, 'a test'));
}

describe('the name of a document', () => {
  it('comes back as it was written, in its fixed length', () => {
    fc.assert(
      fc.property(documentName, (name) => {
        const writer = new ByteWriter();
        encodeDocumentName(writer, name);
        expect(writer.length).toBe(documentNameBytes);
        expect(decoded(writer.view())).toEqual(name);
      }),
    );
  });

  it('is refused if the document is longer than its slot, or shorter than a seal', () => {
    for (const wrong of [
      { ...noDocument, generation: 1, capacityPages: 1, length: 4097 },
      { ...noDocument, generation: 1, capacityPages: 1, length: sealBytes - 1 },
    ]) {
      const writer = new ByteWriter();
      encodeDocumentName(writer, wrong);
      expectCorrupt(() => decoded(writer.view()));
    }
  });

  it('is a name or VARVE_CORRUPT, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expectSoundOrCorrupt(() => decoded(bytes));
      }),
    );
  });
});

describe('a document', () => {
  const place: fc.Arbitrary<DocumentPlace> = fc.record({
    kind: fc.constantFrom(kindRoot, kindBasin),
    page: upTo(2 ** 40),
    capacityPages: upTo(999).map((pages) => pages + 1),
    generation: u32,
    stamp: u48,
  });

  it('opens only unchanged, and under the name that sealing gave', () => {
    fc.assert(
      fc.property(
        place,
        salt,
        fc.uint8Array({ maxLength: 500 }),
        fc.nat(),
        (where, ofFile, body, bit) => {
          const bytes = new Uint8Array(sealBytes + body.length);
          bytes.set(body, sealBytes);
          const name = sealDocument(bytes, where, ofFile);
          expect(name.length).toBe(bytes.length);
          expect(openDocument(bytes, where.kind, name, ofFile)).toEqual({
            kind: where.kind,
            generation: where.generation,
            length: bytes.length,
            stamp: where.stamp,
            page: slotPage(where.page, where.capacityPages, where.generation),
          });
          expectCorrupt(() => openDocument(flipped(bytes, bit), where.kind, name, ofFile));
          const moved = { ...name, page: name.page + 1 };
          expectCorrupt(() => openDocument(bytes, where.kind, moved, ofFile));
          const later = { ...name, generation: name.generation + 2 };
          expectCorrupt(() => openDocument(bytes, where.kind, later, ofFile));
        },
      ),
    );
  });

  it('and the next generation of it lie in different slots, which do not overlap', () => {
    fc.assert(
      fc.property(place, ({ page, capacityPages, generation }) => {
        const slots = [generation, generation + 1].map((at) => slotPage(page, capacityPages, at));
        expect([...slots].sort((one, other) => one - other)).toEqual([page, page + capacityPages]);
        expect(slotPage(page, capacityPages, generation + 2)).toBe(slots[0]);
      }),
    );
  });
});

it('never has generation 0', () => {
  expect(noDocument.generation).toBe(0);
  const writer = new ByteWriter();
  encodeDocumentName(writer, noDocument);
  expect(decoded(writer.view())).toEqual(noDocument);
});

/** The check of options objects, apart from what takes options. */

import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { checkNames } from '../../src/util/options.ts';

const names = { readOnly: true, create: true } as const;

function messageOf(options: unknown): string {
  try {
    checkNames('open', options, names);
    return 'taken';
  } catch (error) {
    expect(error).toMatchObject({ code: 'VARVE_INVALID_ARGUMENT' });
    return (error as Error).message;
  }
}

it.each([
  ['readonly', 'readOnly'],
  ['readOny', 'readOnly'],
  ['raedOnly', 'readOnly'],
  ['creates', 'create'],
  ['crate', 'create'],
])('an unknown name is reported with the one that it resembles: %s', (name, near) => {
  const message = messageOf({ [name]: 1 });
  expect(message).toBe(
    `open does not know '${name}': did you mean '${near}'? (it knows readOnly, create)`,
  );
});

it('an unknown name that resembles none is reported with all known names', () => {
  expect(messageOf({ size: 1 })).toBe("open does not know 'size' (it knows readOnly, create)");
  expect(messageOf({ constructor: 1 })).toBe('taken');
  expect(messageOf(Object.create({ size: 1 }))).toMatch("'size'");
});

it('objects of any class and realm are taken, lists and the like are not', () => {
  class Options {
    create = true;
    get ready(): boolean {
      return true;
    }
  }
  const taken = [{}, Object.create(null), new Options(), runInNewContext('({ create: true })')];
  for (const options of taken) expect(messageOf(options)).toBe('taken');
  const refused = [[], new Map(), new Date(), Promise.resolve({}), () => ({}), null, 1, 'create'];
  for (const options of refused) expect(messageOf(options)).toMatch(/^open: expected an object/);
});

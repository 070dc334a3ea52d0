/**
 * Lines that break the rules of the house, as a table: sources of one line each, below a header.
 *
 * Invariant: each breaks the rule that it is listed under, which tidy.test.ts holds.
 */

/** For each rule, sources that break it: the path, and the line of the breach if it is another. */
export const brokenLines: Readonly<Record<string, string>> = {
  layers: `
    src/errors.ts import './util/a.ts';
    src/util/x.ts import '../format/seal.ts';
    src/format/x.ts import '../io/node.ts';
    src/io/x.ts import '../format/seal.ts';
    src/io/x.ts import type { Store } from '../store/store.ts';
    src/util/x.ts let s: import('../store/store.ts').Store;
    src/store/x.ts import '../index.ts';
    src/store/grains/x.ts import '../values/value.ts';
    src/store/commit/x.ts import { Store } from '../store.ts';
    src/store/open/x.ts import '../commit/batch.ts';
    src/forest/trees/x.ts import '../reads/range.ts';
    src/store/attic/x.ts import '../file/space.ts';
    src/forest/x.ts import { Store } from '../store/store.ts';
    src/keydir.ts import { f } from './forest/tree.ts';
    src/store/x.ts import '../../bench/a.ts';
    src/store/x.ts import './gone.ts';
    src/extras/x.ts:1 export const a = 1;
    src/loose.ts:1 export const a = 1;`,
  cycles: `
    src/store/x.ts import './x.ts';`,
  'literal-imports': `
    src/store/x.ts const m = await import('node:' + name);`,
  'node-modules': `
    src/format/x.ts import 'node:fs';
    src/io/cache.ts import { open } from 'node:fs/promises';
    src/store/x.ts import type { Stats } from 'node:fs';
    src/io/node-x.ts import fs from 'fs';
    src/util/x.ts require('node:zlib');`,
  packages: `
    src/format/x.ts import 'crc-32';
    src/util/x.ts import 'crc-32';
    src/io/x.ts import 'async-mutex';
    src/store/x.ts import('fs-native-extensions');
    src/store/x.ts import 'left-pad';`,
  'default-exports': `
    src/io/x.ts export default f;
    src/io/x.ts export { a, f as default };`,
  erasable: `
    src/io/x.ts export const enum A { B }
    src/io/x.ts namespace A {}`,
  silence: `
    src/store/x.ts console.log(1);`,
  'data-view': `
    src/format/x.ts new DataView(b);`,
  owners: `
    src/store/x.ts Object.assign(a, b);
    src/store/x.ts basin.dirty = true;
    src/store/x.ts this.#work.state = 'ended';
    src/store/x.ts maps[0].stamp += 1;`,
  'built-in-modules': `
    src/store/x.ts process.getBuiltinModule?.('url');`,
  'layout-numbers': `
    src/store/x.ts const a = 4096;
    src/format/x.ts const a = 4_096;
    src/util/x.ts const a = 0x1000;
    src/store/x.ts f(512n);
    src/store/x.ts f(\`\${{ a: '}' } && 512}\`);`,
  barrels: `
    src/format/x.ts:1 export { a } from './seal.ts';
    src/format/index.ts:1 export const answer = 1;`,
  names: `
    src/format/grainId.ts:1 export const a = 1;
    src/format/helpers.ts:1 export const a = 1;
    src/store/lock-manager.ts:1 export class L {}`,
  'one-owner': `
    src/store/session.ts core.file.writeSync(chunks, 0);
    src/store/state/core.ts this.file.truncateSync(length);
    src/store/commit/x.ts yield { kind: 'write', ...write };
    src/store/log/x.ts this.#space.reach(page);
    src/store/commit/x.ts counters.bytesWritten += bytes;
    src/store/session.ts core.values.cache.written(chunks, 0);`,
};

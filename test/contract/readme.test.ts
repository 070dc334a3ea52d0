/** The example in the README runs as it stands, against the package as it is built. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('the example stores, reads and prints', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const example = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  const built = new URL('../../dist/index.js', import.meta.url).href;
  const folder = mkdtempSync(join(tmpdir(), 'varve-readme-'));
  try {
    const script = join(folder, 'example.mjs');
    writeFileSync(script, example.replace("from 'varve'", `from '${built}'`));
    const printed = execFileSync(process.execPath, [script], { cwd: folder, encoding: 'utf8' });
    expect(printed).toBe('hello\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

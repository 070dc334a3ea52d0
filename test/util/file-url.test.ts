/**
 * The path in a `file:` URL object: by Node's conversion, without one, and what names no file.
 * That stores and forests open by such a URL is in test/io/open-by-url.test.ts.
 */

import { pathToFileURL } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { pathOfFileUrl } from '../../src/util/file-url.ts';

const names = ['/tmp/store', '/tmp/with space', '/tmp/100%', '/tmp/größe#1?', '/tmp/%2F'];
const wrong = [
  'https://varve.test/store',
  'file://elsewhere/store',
  'file:///a%2Fb',
  'file:///a%2fb',
  'file:///%ff',
];

describe.skipIf(process.platform === 'win32')('the path in a file: URL object', () => {
  afterEach(() => vi.unstubAllGlobals());

  for (const host of ['Node', 'a host without its modules']) {
    describe(`on ${host}`, () => {
      const onHost = () => (host === 'Node' ? undefined : vi.stubGlobal('process', undefined));

      it('is the path that the URL was made of', () => {
        onHost();
        for (const name of names) expect(pathOfFileUrl(pathToFileURL(name))).toBe(name);
      });

      it('is undefined for a URL that names no file of this machine', () => {
        onHost();
        for (const url of wrong) expect(pathOfFileUrl(new URL(url))).toBeUndefined();
      });
    });
  }

  it('is found in a URL of another realm', () => {
    const { href, protocol, host, pathname } = new URL('file:///tmp/store');
    const json = JSON.stringify({ href, protocol, host, pathname });
    const foreign = runInContext(`(${json})`, createContext());
    expect(foreign).not.toBeInstanceOf(Object);
    expect(pathOfFileUrl(foreign)).toBe('/tmp/store');
  });

  it('is undefined for anything that is not a URL object', () => {
    for (const value of [undefined, null, 1, 'file:///tmp/store', {}, { href: 'file:///tmp' }]) {
      expect(pathOfFileUrl(value)).toBeUndefined();
    }
  });
});

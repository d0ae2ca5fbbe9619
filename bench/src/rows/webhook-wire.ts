import { Pool } from 'undici';

/** As many as the destination sends at once. */
export const CONNECTIONS = 50;
export const PATH = '/hook';
export const SECRET = `whsec_${Buffer.from('a secret of the benchmark').toString('base64')}`;

export function barePool(port: number): Pool {
  return new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS });
}

export async function post(pool: Pool, body: Buffer): Promise<void> {
  const answer = await pool.request({
    method: 'POST',
    path: PATH,
    headers: { 'content-type': 'application/json' },
    body,
  });
  await answer.body.dump();
}

/** Does all the work, `CONNECTIONS` pieces of it at a time. */
export async function eachAtOnce<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}

import type { Api } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';

export interface Account {
  readonly pipeline: string;
  readonly destination: string;
  readonly accepted: number;
  readonly delivered: number;
  readonly waiting: number;
  readonly filtered: number;
  readonly dead: number;
  readonly parked: number;
}

export interface Accounts {
  readonly accepted: number;
  readonly subscriptions: readonly Account[];
}

export const accountsOf = (api: Api): Promise<Accounts> => api.get<Accounts>('accounting');

/** The account of the subscription that delivers to `destination`. */
export async function accountOf(api: Api, destination: string): Promise<Account> {
  const { subscriptions } = await accountsOf(api);
  const account = subscriptions.find((one) => one.destination === destination);
  if (account === undefined) throw new Error(`No subscription delivers to ${destination}.`);
  return account;
}

/** Waits until nothing waits, and holds every subscription to its sum. */
export async function settledAccounts(api: Api, withinMs = 20_000): Promise<Accounts> {
  const accounts = await eventually(async () => {
    const found = await accountsOf(api);
    return found.subscriptions.every(({ waiting }) => waiting === 0) && found;
  }, withinMs);
  for (const account of accounts.subscriptions) expectToAddUp(account);
  return accounts;
}

/** As `settledAccounts`, for one destination. */
export async function settledAccount(api: Api, destination: string, withinMs = 20_000): Promise<Account> {
  const account = await eventually(async () => {
    const found = await accountOf(api, destination);
    return found.waiting === 0 && found;
  }, withinMs);
  expectToAddUp(account);
  return account;
}

export function expectToAddUp({ accepted, delivered, waiting, filtered, dead, parked }: Account): void {
  expect(delivered + waiting + filtered + dead + parked).toBe(accepted);
}

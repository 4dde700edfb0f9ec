"""A crawler as an asyncio actor: many fetches under way, each page once, links followed."""

import asyncio

import ray

ray.init(num_cpus=2)
PAGES = {n: [2 * n + 1, 2 * n + 2, n // 2] for n in range(60)}


@ray.remote
class Site:
    def __init__(self):
        self.visits, self.most, self.now = {}, 0, 0

    async def fetch(self, page):
        self.now += 1
        self.most = max(self.most, self.now)
        self.visits[page] = self.visits.get(page, 0) + 1
        await asyncio.sleep(0.005)
        self.now -= 1
        if page not in PAGES:
            raise LookupError(page)
        return PAGES[page]

    async def report(self):
        return self.visits, self.most


@ray.remote
class Crawler:
    def __init__(self, site):
        self.site, self.seen, self.missing = site, set(), set()

    async def crawl(self, page):
        if page in self.seen:
            return
        self.seen.add(page)
        try:
            links = await self.site.fetch.remote(page)
        except LookupError:
            self.missing.add(page)
            return
        await asyncio.gather(*[self.crawl(link) for link in links])

    async def result(self):
        return self.seen - self.missing, self.missing


site = Site.remote()
crawler = Crawler.remote(site)
ray.get(crawler.crawl.remote(0))
found, missing = ray.get(crawler.result.remote())
assert found == set(PAGES)
assert min(missing) == 60
visits, most = ray.get(site.report.remote())
assert set(visits.values()) == {1}
assert most > 1
print("ok")

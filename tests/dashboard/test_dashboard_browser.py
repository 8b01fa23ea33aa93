"""The dashboard in a browser: who gets in, what it shows as it happens, what its buttons do, and for whom it works."""

import asyncio

import pytest
from browsing import DESKTOP, PHONE
from lab.configuration import CHAT
from lab.operator import TOKEN, managed
from lab.ports import unused_port
from lab.sidecar import eventually, running
from selenium.webdriver.common.keys import Keys

from proxy.server.admin.journal import MAX_LISTENERS

pytestmark = pytest.mark.needs_chromium

NO_SIDEWAYS_SCROLL = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
FOCUSED = "return document.activeElement.ariaLabel ?? document.activeElement.textContent"


async def fail_over(sidecar, p1, times=3):
    p1.fault = "status:503"
    for _ in range(times):
        assert (await sidecar.chat("question")).status == 200


# Who gets in


async def test_it_asks_for_the_token_and_then_shows_every_provider_and_route(page):
    await page.open(token=None)
    await page.shows("#entry", "Admin token")
    await page.hides("#dashboard")
    await page.enter(TOKEN)
    for provider in ("p1", "p2"):
        await page.shows(f'[data-provider="{provider}"]', provider)
    await page.shows('[data-route="chat"]', CHAT)
    await page.shows("#verdict h1", "All is well")
    await page.hides("#entry")


async def test_a_wrong_token_is_told_so_and_the_right_one_still_opens(page):
    await page.open(token=None)
    await page.enter("wrong")
    await page.shows("#entry-problem", "not the token of this sidecar")
    await page.hides("#dashboard")
    assert [each for each in page.complaints() if "401" not in each] == []
    await page.enter(TOKEN)
    await page.shows("#dashboard")


async def test_the_token_stays_in_the_tab_and_in_no_address_or_cookie(page, driver):
    await page.open()
    assert await page.run("return sessionStorage.length") == 1
    assert TOKEN not in str(
        await page.run("return [location.href, document.cookie, JSON.stringify({...localStorage})]")
    )
    assert TOKEN not in str(await page.run("return performance.getEntriesByType('resource').map((each) => each.name)"))
    assert await page.run("return document.getElementById('token').value") == ""


async def test_the_tab_is_asked_once_and_another_tab_again(page, driver):
    await page.open()
    await asyncio.to_thread(driver.refresh)
    await page.shows("#dashboard")
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    await page.open(token=None)
    await page.shows("#entry")
    driver.close()
    driver.switch_to.window(first)


async def test_whoever_signs_out_is_asked_again(page, driver):
    await page.open()
    await page.click("#leave")
    await page.shows("#entry")
    await page.hides("#dashboard")
    await asyncio.to_thread(driver.refresh)
    await page.shows("#entry")


async def test_a_token_that_changed_leads_back_to_the_door(page, sidecar):
    await page.open()
    await page.run("sessionStorage.setItem('sidestep-token', 'another')")
    await page.shows("#entry-problem", "another token now")
    assert [each for each in page.complaints() if "401" not in each] == []


# What it shows as it happens


async def test_a_provider_that_dies_is_told_within_the_page_without_a_reload(page, sidecar, p1):
    await page.open()
    await page.shows("#link", "Live")
    await page.run("window.untouched = true")
    await fail_over(sidecar, p1)
    await page.shows("#verdict h1", "p1: down since")
    await page.shows("#verdict", "Asked instead: p2.")
    await page.shows('[data-provider="p1"][data-state="open"]', "simulated 503")
    await page.shows("#events", "p1 → p2: overloaded")
    await page.shows("#events", "Breaker of p1 opened")
    await page.becomes("return document.title.slice(0, 13)", "✕ p1: down si")
    assert await page.run("return window.untouched") is True


async def test_a_provider_that_comes_back_is_told_too(page, p1, p2):
    documents = managed({"p1": p1, "p2": p2})
    async with running(documents, breaker={"failures": 3, "open_for": "500ms"}) as sidecar:
        page.origin = f"http://127.0.0.1:{sidecar.admin_port}"
        await page.open()
        await fail_over(sidecar, p1)
        await page.shows("#verdict h1", "p1: ")
        p1.fault = "ok"

        async def asked_again():
            return (await sidecar.chat("again")).headers.get("x-sidestep-provider") == "p1"

        for _ in range(3):
            await eventually(asked_again)
        await page.shows('[data-provider="p1"]', "up since")
        await page.shows("#events", "Breaker of p1 closed")
        await page.shows("#verdict h1", "All is well")
        await page.leave()


async def test_a_key_that_was_refused_is_told(page, sidecar, p1):
    await page.open()
    p1.fault = "status:401"
    await sidecar.chat("question")
    await page.shows("#verdict h1", "p1: key refused since")


async def test_a_request_is_shown_with_the_ladder_of_its_attempts(page, sidecar, p1):
    await page.open()
    await fail_over(sidecar, p1, times=1)
    await page.shows(".request .ladder li:first-child", "overloaded 503")
    await page.shows(".request .ladder li:last-child", "p2")
    await page.shows(".request .outcome", "ok 200")


async def test_what_happened_before_the_page_was_opened_is_there(page, sidecar, p1):
    await fail_over(sidecar, p1)
    await page.open()
    await page.shows("#events", "p1 → p2: overloaded")
    await page.shows(".tile.failovers .figure", "3")
    await page.shows(".request .ladder", "overloaded 503")


async def test_charts_are_drawn_from_what_was_seen_and_say_it_in_words(page, sidecar):
    await page.open()
    for _ in range(3):
        await sidecar.chat("question")
    await page.becomes("return document.querySelectorAll('.tiles .line-0[d^=M]').length", 3)
    for title in ("Requests", "Answered", "Latency", "Failovers"):
        label = await page.run(f"return document.querySelector('.tile.{title.lower()} svg').ariaLabel")
        assert label.startswith(f"{title} over five minutes: ")
    await page.shows(".tile.answered .figure", "100 %")
    await page.shows("#counts", "3 requests, 100 % answered")


async def test_a_failover_is_announced_to_who_cannot_see_it(page, sidecar, p1):
    await page.open()
    assert await page.run("return document.getElementById('announcer').ariaLive") == "polite"
    await fail_over(sidecar, p1, times=1)
    await page.becomes("return document.getElementById('announcer').textContent", "p1 → p2: overloaded")


async def test_what_a_client_writes_is_shown_as_text_and_never_becomes_markup(page, sidecar):
    await page.open()
    hostile = "<img src=/none onerror=window.pwned=1>"
    await sidecar.ask(model=hostile, messages=[{"role": "user", "content": "question"}])
    await page.shows(".request .what", "<img src=/none onerror=window.pwned=1>")
    assert await page.run("return [document.querySelectorAll('main img').length, window.pwned ?? null]") == [0, None]


async def test_only_the_requests_that_met_trouble_can_be_shown(page, sidecar, p1):
    await sidecar.chat("one that went well")
    await fail_over(sidecar, p1, times=1)
    await page.open()
    await page.becomes("return document.querySelectorAll('.request').length", 2)
    await page.click("#trouble")
    await page.becomes("return document.querySelectorAll('.request').length", 1)
    await page.shows(".request", "overloaded")


async def test_trouble_stays_in_sight_longer_than_what_went_well(page, sidecar, p1):
    await page.open()
    await page.click("#trouble")
    await fail_over(sidecar, p1, times=1)
    p1.fault = "ok"
    for _ in range(250):
        await sidecar.chat("one that goes well")
    await page.shows("#counts", "251 requests")
    await page.shows(".request", "overloaded")


async def test_the_list_holds_still_while_it_is_paused_and_then_catches_up(page, sidecar):
    await page.open()
    await sidecar.chat("one")
    await page.becomes("return document.querySelectorAll('.request').length", 1)
    await page.click("#pause")
    await sidecar.chat("two")
    await page.shows("#counts", "2 requests")
    assert await page.run("return document.querySelectorAll('.request').length") == 1
    await page.click("#pause")
    await page.becomes("return document.querySelectorAll('.request').length", 2)


# When the line breaks


async def test_a_stream_that_ends_is_joined_again_and_nothing_is_missed(page, sidecar, p1):
    await page.open()
    await page.shows("#link", "Live")
    sidecar.sidecar.journal.close()
    await fail_over(sidecar, p1, times=1)
    await page.shows("#events", "p1 → p2: overloaded")
    await page.becomes("return document.querySelectorAll('.request').length", 1)
    await page.shows("#link", "Live")


async def test_a_sidecar_that_goes_away_is_told_and_is_found_again(driver, page, p1):
    documents = managed({"p1": p1}, listen=f"127.0.0.1:{unused_port()}")
    async with running(documents) as sidecar:
        page.origin = f"http://127.0.0.1:{sidecar.admin_port}"
        await page.open()
        await page.shows("#link", "Live")
    await page.shows("#link", "No answer since")
    async with running(documents):
        await page.shows("#link", "Live")
        await page.leave()
    assert [each for each in page.complaints() if "Failed to load resource" not in each and "ERR_" not in each] == []


async def test_where_too_many_listen_already_the_state_still_comes(page, sidecar):
    for _ in range(MAX_LISTENERS):
        sidecar.sidecar.journal.join()
    await page.open()
    await page.shows("#link", "Joining")
    await page.becomes("return document.getElementById('link').title", "too many listen already; close one of them")
    await sidecar.chat("question")
    await page.shows("#counts", "1 request")
    assert [each for each in page.complaints() if "503" not in each] == []


# What its buttons do


async def test_a_provider_is_disabled_and_enabled_by_its_button(page, operator):
    await page.open()
    await page.click('[data-provider="p1"] [data-slot="toggle"]')
    await page.shows("#toast", "p1 is disabled.")
    await page.shows('[data-provider="p1"]', "disabled since")
    assert (await operator.get("/admin/status"))["providers"]["p1"]["enabled"] is False
    await page.shows("#events", "p1 disabled by hand")
    await page.click('[data-provider="p1"] [data-slot="toggle"]')
    await page.shows("#toast", "p1 is enabled.")
    assert (await operator.get("/admin/status"))["providers"]["p1"]["enabled"] is True


async def test_when_nobody_is_left_to_ask_the_first_line_says_so(page, operator):
    await page.open()
    for name in ("p1", "p2"):
        await operator.change("POST", f"/admin/providers/{name}/disable")
    await page.shows("#verdict h1", "Nobody can answer chat")


async def test_a_provider_is_checked_by_its_button_and_the_finding_told(page, operator):
    await page.open()
    await page.click('[data-provider="p2"] [data-slot="check"]')
    await page.shows("#toast", "p2: ok in ")
    assert (await operator.get("/admin/status"))["providers"]["p2"]["health"]["last_check"] is not None
    await page.shows('[data-provider="p2"]', "last check")


async def test_a_strategy_is_chosen_from_the_list_of_the_route(page, operator):
    await page.open()
    await page.type('[data-route="chat"] select', "round")
    await page.shows("#toast", "chat follows round robin.")
    assert (await operator.get("/admin/status"))["routes"]["chat"]["strategy"] == "round_robin"
    await page.shows('[data-route="chat"] .tag', "by hand; the file says primary only")


async def test_everything_done_by_hand_is_taken_back_at_once(page, operator):
    await operator.change("POST", "/admin/providers/p1/disable")
    await operator.change("PUT", "/admin/routes/chat/strategy", {"strategy": "round_robin"})
    await page.open()
    await page.shows("#take-back", "Take back 2 changes by hand")
    await page.click("#take-back")
    await page.hides("#take-back")
    status = await operator.get("/admin/status")
    assert status["providers"]["p1"]["enabled"] is True
    assert status["routes"]["chat"]["strategy"] == "primary_only"


async def test_counts_are_reset_by_their_button(page, sidecar, operator):
    await sidecar.chat("question")
    await page.open()
    await page.shows("#counts", "1 request")
    await page.click("#reset-counts")
    await page.shows("#counts", "0 requests")
    assert (await operator.get("/admin/stats"))["total_requests"] == 0


async def test_what_was_not_done_is_told_with_the_reason(page):
    await page.open()
    await page.click("#reload")
    await page.shows("#toast", "Not done: this configuration did not come from files")
    assert [each for each in page.complaints() if "409" not in each] == []


# For whom it works


async def test_everything_can_be_done_with_the_keyboard_alone(page, operator):
    await page.open(token=None)
    await page.shows("#token")
    await page.press(TOKEN, Keys.ENTER)
    await page.shows("#dashboard")
    await page.press("j", "j")
    await page.becomes(FOCUSED, "Provider p2")
    await page.press("k", "e")
    await page.shows("#toast", "p1 is disabled.")
    assert (await operator.get("/admin/status"))["providers"]["p1"]["enabled"] is False
    await page.press("c")
    await page.shows("#toast", "p1: ")
    await page.press(Keys.TAB)
    await page.becomes(FOCUSED, "Enable p1")
    await page.press(Keys.ENTER)
    await page.shows("#toast", "p1 is enabled.")


async def test_the_focus_can_be_seen_and_stays_where_it_was_while_things_change(page, sidecar, p1):
    await page.open()
    await page.press("j", Keys.TAB)
    await page.becomes(FOCUSED, "Disable p1")
    assert await page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await fail_over(sidecar, p1)
    await page.shows('[data-provider="p1"]', "down")
    assert await page.run(FOCUSED) == "Disable p1"


async def test_shortcuts_are_listed_and_can_be_switched_off(page):
    await page.open()
    await page.press("?")
    await page.shows("#shortcuts", "next, previous provider")
    await page.click("#shortcuts-on")
    await page.press(Keys.ESCAPE)
    await page.hides("#shortcuts")
    await page.press("f")
    assert await page.run("return document.getElementById('trouble').ariaPressed") == "false"


async def test_letters_of_a_token_are_no_shortcuts(page):
    await page.open(token=None)
    await page.shows("#token")
    await page.press("tfp?")
    assert await page.run("return document.getElementById('token').value") == "tfp?"
    assert await page.run("return document.documentElement.dataset.theme") == "auto"


async def test_nothing_is_wider_than_a_phone(page, sidecar, p1):
    await page.emulate("setDeviceMetricsOverride", **PHONE)
    await page.open(token=None)
    await page.shows("#entry")
    assert await page.run(NO_SIDEWAYS_SCROLL) == 0
    await page.enter(TOKEN)
    p1.fault = "status:503"
    await sidecar.chat("question", model="an-uncommonly-long-model-name-" * 3)
    await page.shows(".request", "overloaded")
    assert await page.run(NO_SIDEWAYS_SCROLL) == 0
    assert (
        await page.run(
            "return Math.min(...[...document.querySelectorAll('.actions button')].map((each) => each.offsetHeight))"
        )
        >= 40
    )


@pytest.mark.parametrize("width", [320, 720, 900, 1120, 1920])
async def test_no_width_scrolls_sideways(page, sidecar, p1, width):
    await page.emulate("setDeviceMetricsOverride", **(DESKTOP | {"width": width}))
    await page.open()
    await fail_over(sidecar, p1)
    await page.shows('[data-provider="p1"]', "down")
    assert await page.run(NO_SIDEWAYS_SCROLL) == 0


GROUND = "return getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize(("scheme", "ground"), [("light", "rgb(244, 245, 248)"), ("dark", "rgb(15, 18, 24)")])
async def test_it_is_light_or_dark_as_the_system_is(page, scheme, ground):
    await page.emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    await page.open()
    await page.becomes(GROUND, ground)


async def test_a_theme_that_was_chosen_wins_and_is_remembered(page, driver):
    await page.emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    await page.open()
    await page.press("t", "t")
    await page.becomes(GROUND, "rgb(15, 18, 24)")
    await asyncio.to_thread(driver.refresh)
    await page.shows("#theme", "Dark")
    await page.becomes(GROUND, "rgb(15, 18, 24)")


async def test_whoever_wants_no_motion_sees_none(page):
    await page.emulate("setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    await page.open()
    await page.shows("#link", "Live")
    assert (
        await page.run("return getComputedStyle(document.getElementById('link'), '::before').animationName") == "none"
    )


SHAPES = (
    "return [...document.querySelectorAll('.provider .mark path:first-child')].map((each) => each.getAttribute('d'))"
)


async def test_each_tone_has_a_shape_of_its_own_beside_its_colour(page, operator, sidecar, p1):
    await operator.change("POST", "/admin/providers/p2/disable")
    await page.open()
    await page.shows('[data-provider="p2"]', "disabled")
    await sidecar.chat("question")
    await page.shows('[data-provider="p1"]', "up")
    healthy, disabled = await page.run(SHAPES)
    p1.fault = "status:503"
    for _ in range(3):
        await sidecar.chat("question")
    await page.shows('[data-provider="p1"]', "down")
    down, _ = await page.run(SHAPES)
    assert down not in {healthy, disabled}


# What it cannot do


async def test_it_asks_nobody_but_its_own_listener(page):
    await page.open()
    await page.shows("#link", "Live")
    asked = await page.run("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert asked
    assert [each for each in asked if not each.startswith(page.origin)] == []


@pytest.mark.parametrize(
    ("attempt", "directive"),
    [
        ("fetch('http://127.0.0.1:9/')", "connect-src"),
        ("const s = document.createElement('style'); s.textContent = 'a{}'; document.head.append(s)", "style-src-elem"),
        ("document.body.innerHTML = 'x'", "require-trusted-types-for"),
        ("const f = document.createElement('iframe'); f.src = '/'; document.body.append(f)", "frame-src"),
    ],
)
async def test_the_browser_stops_what_the_policy_forbids(page, attempt, directive):
    await page.open()
    await page.run(
        "addEventListener('securitypolicyviolation', (event) => { window.stopped = event.effectiveDirective })"
    )
    await page.run(f"try {{ Promise.resolve({{ then(done) {{ {attempt}; done() }} }}).catch(() => 0) }} catch {{}}")
    await page.becomes("return window.stopped", directive)
    assert page.complaints() != []

"""The playground in a real browser, by keyboard and mouse, over the fake engine."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Playground
from tests.waiting import wait_until

EXAMPLE = "a knight in (red armor:1.2) with a sword, desert background"


def test_first_visit_to_first_picture(visit, place: Playground):
    visitor = visit(key=None)
    page = visitor.page
    assert page.input_value("#prompt") == EXAMPLE
    expect(page.locator("#strip")).to_contain_text("come here")
    page.fill("#key", "SG_" + "0" * 32)
    page.keyboard.press("Enter")
    expect(page.locator("#key-error")).to_contain_text("API key is invalid")
    visitor.key = place.make_key(1_000_000)
    page.fill("#key", visitor.key)
    page.keyboard.press("Enter")
    expect(page.locator("#draw")).to_have_text("Draw0.00384 credits")
    page.click("#welcome button:text-is('Draw')")
    visitor.wait_until_drawn()
    told = page.locator("#under").inner_text()
    assert "0.00384 credits" in told
    assert "512×512, a sprite of 32×32" in told
    expect(page.locator("#credits")).to_have_text("0.99616 credits left")
    assert visitor.key not in page.url
    assert page.evaluate("localStorage.getItem('limner.key')") == json.dumps(visitor.key)


@pytest.mark.slow
def test_another_key_goes_in_where_pictures_are(visit):
    visitor = visit()
    visitor.draw()
    page = visit(key=visitor.key).page
    page.wait_for_selector(".tile img")
    page.click("#key-open")
    expect(page.locator("dialog #key")).to_be_focused()


@pytest.mark.slow
def test_a_server_gone_at_the_start_is_waited_for_with_the_draft_kept(visit):
    visitor = visit()
    page = visitor.page
    page.fill("#prompt", "a kept prompt")
    page.route("**/v1/get-user-credits", lambda route: route.abort("connectionrefused"))
    page.reload()
    expect(page.locator("#draw-error")).to_contain_text("What is on the desk is kept")
    assert page.input_value("#prompt") == "a kept prompt"
    # Nobody is told of a first picture before the gallery has been asked.
    expect(page.locator("#welcome")).to_be_hidden()
    page.unroute("**/v1/get-user-credits")
    expect(page.locator("#draw-error")).to_be_hidden()
    expect(page.locator("#welcome")).to_be_visible()


@pytest.mark.slow
def test_previews_grow_while_it_draws(visit, place: Playground):
    visitor = visit()
    page = visitor.page
    visitor.begin()
    page.wait_for_selector(".tile img.crisp[src^='data:image/png']")
    assert page.locator("#draw-word").inner_text() == "Draw"
    expect(page.locator("#queue")).to_have_text(re.compile(r"^Drawing, step \d+ of 150$"))
    done = float(page.locator(".tile").evaluate("n => n.style.getPropertyValue('--done')"))
    assert 0 < done < 1
    place.engine.release()
    visitor.wait_until_drawn()
    page.wait_for_selector(".tile img[src^='blob:']")


@pytest.mark.slow
def test_escape_cancels_what_is_looked_at_and_bills_nothing(visit):
    visitor = visit()
    page = visitor.page
    visitor.begin()
    page.keyboard.press("Escape")
    expect(page.locator("#tray .job")).to_have_count(0)
    expect(page.locator(".tile")).to_contain_text("not billed")
    assert page.locator(".tile").evaluate("n => n.style.getPropertyValue('--done')") == "0"
    expect(page.locator("#queue")).not_to_contain_text("Drawing")
    wait_until(lambda: [request["status"] for request in visitor.stored()] == ["CANCELLED"])
    # What was held is there again, also on the page.
    expect(page.locator("#credits")).to_have_text("10 credits left")


@pytest.mark.slow
def test_closing_the_tab_loses_nothing(visit, place: Playground):
    visitor = visit()
    page = visitor.page
    visitor.draw()
    page.fill("#prompt", "a second picture")
    visitor.begin()
    page.reload()
    page.wait_for_selector("#tray .job")
    assert page.input_value("#prompt") == "a second picture"
    place.engine.release()
    visitor.wait_until_drawn()
    expect(page.locator("#strip img")).to_have_count(2)
    assert [request["status"] for request in visitor.stored()] == ["COMPLETED"] * 2
    page.reload()
    expect(page.locator("#strip img")).to_have_count(2)
    page.wait_for_selector(".tile img")


@pytest.mark.slow  # of the server's half: web/test_whole.py and usecases/drawing
def test_a_lost_answer_is_asked_for_again_and_billed_once(visit):
    visitor = visit()
    page, keys = visitor.page, []

    def lose(route):
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()  # the server has it, the browser never hears
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(
        "**/api/requests",
        lambda route: lose(route) if route.request.method == "POST" else route.continue_(),
    )
    page.click("#draw")
    expect(page.locator("#draw-error")).to_contain_text("drawn once and billed once")
    page.click("#draw-error button")
    visitor.wait_until_drawn()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(visitor.stored()) == 1
    expect(page.locator("#draw-error")).to_be_hidden()


@pytest.mark.slow
def test_errors_stand_beside_their_field_in_the_servers_words(visit, place: Playground):
    visitor = visit()
    page = visitor.page
    page.fill("#seed", "abc")
    page.keyboard.press("Control+Enter")
    line = page.locator("[data-field=seed] .error:visible")
    assert line.inner_text().startswith('seed is "abc"; it must be a whole number')
    assert page.locator("#seed").get_attribute("aria-invalid") == "true"
    page.fill("#seed", "42")
    assert line.count() == 0


@pytest.mark.slow
def test_no_credits_says_price_balance_and_who_adds_more(visit, place: Playground):
    page = visit(key=place.make_key(1000)).page
    expect(page.locator("#draw")).to_contain_text("credits, not enough left")
    page.click("#draw")
    told = page.locator("#draw-error")
    expect(told).to_contain_text(re.compile("^Insufficient credits.*0.001.*0.00384"))
    expect(told).to_contain_text("limner credits grant")
    # What was there comes back.
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(0)


@pytest.mark.slow
def test_the_seed_is_shown_locked_and_used_again(visit):
    visitor = visit()
    page = visitor.page
    visitor.draw()
    first = visitor.stored()[0]["generation"]["seed"]
    expect(page.locator("#seed")).to_have_value(str(first))
    page.keyboard.press("Escape")
    page.locator("#stage").click(position={"x": 5, "y": 5})
    page.keyboard.press("s")
    assert page.locator("#lock").get_attribute("aria-pressed") == "true"
    visitor.draw()
    assert visitor.stored()[0]["generation"]["seed"] == first
    page.click("#lock")
    visitor.draw()
    assert visitor.stored()[0]["generation"]["seed"] != first


@pytest.mark.slow
def test_weights_by_keyboard(visit):
    page = visit(key=None).page
    area = page.locator("#prompt")
    area.fill("a brave knight")
    page.keyboard.press("Control+ArrowUp")
    assert area.input_value() == "a brave (knight:1.1)"
    page.keyboard.press("Control+ArrowUp")
    page.keyboard.press("Control+ArrowUp")
    assert area.input_value() == "a brave (knight:1.3)"
    for _ in range(3):
        page.keyboard.press("Control+ArrowDown")
    assert area.input_value() == "a brave knight"
    area.evaluate("node => node.setSelectionRange(2, 14)")
    page.keyboard.press("Control+ArrowDown")
    assert area.input_value() == "a (brave knight:0.9)"
    page.keyboard.press("Control+z")
    assert area.input_value() == "a brave knight"


@pytest.mark.slow
def test_the_layer_shows_what_the_server_reads(visit):
    visitor = visit()
    page = visitor.page
    page.fill("#prompt", "a [wolf:stag:0.5] in (mist:1.3), <lora:fog:1> moon AND a castle")
    expect(page.locator("#prompt-note")).to_contain_text("draws with the LoRA that it names")
    layer = page.locator(".prompt .layer").first
    for kind, text in {"before": "wolf", "after": "stag", "up": "mist", "and": "AND"}.items():
        assert "".join(layer.locator(f".{kind}").all_inner_texts()) == text
    assert layer.locator(".dropped").inner_text() == "<lora:fog:1>"
    assert layer.locator("[data-mark]").get_attribute("data-mark") == "after step 15"
    assert layer.inner_text().rstrip("\u200b") == page.input_value("#prompt")
    expect(page.locator("#prompt-count")).to_have_text("8 / 150")
    page.fill("#prompt", ", ".join(["grey stone"] * 30))
    page.wait_for_selector(".layer .chunk")
    expect(page.locator("#prompt-count")).to_have_text("89 / 150")
    page.locator("#prompt").evaluate("node => node.setSelectionRange(3, 3)")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#prompt-note")).to_have_text("“grey” · 1 token")
    page.fill("#prompt", "limner\\'s (art:1.2)")
    expect(layer.locator(".dropped")).to_have_text("\\")
    expect(page.locator("#prompt-count")).to_have_text(re.compile("/ 75"))
    page.keyboard.press("Control+Home")
    expect(page.locator("#prompt-note")).to_have_text("“limner” · 2 tokens, lim·ner")
    page.fill("#prompt", "")
    expect(page.locator("#prompt-count")).to_be_empty()


@pytest.mark.slow
def test_a_word_that_the_model_never_learned_is_marked(visit):
    page = visit().page

    def told(route):
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "unlearned": ["imp"]})

    page.route("**/api/explain", told)
    page.fill("#prompt", "a red (Imp:1.2), imperial")
    expect(page.locator(".layer .unlearned")).to_have_text("Imp")
    page.locator("#prompt").evaluate("node => node.setSelectionRange(8, 8)")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#prompt-note")).to_contain_text("was never taught this word")

from proxy.config.snapshot import Address, Provider


def provider(**changes):
    return Provider(name="p", dialect="openai", **changes)


def test_without_a_model_map_names_pass_unchanged():
    assert provider().upstream_model("anything", "chat") == "anything"
    assert provider().upstream_model("", "chat") == ""


def test_a_model_map_without_a_default_serves_only_what_it_names():
    mapped = provider(models={"small": "acme-small"})
    assert mapped.upstream_model("small", "chat") == "acme-small"
    assert mapped.upstream_model("large", "chat") is None


def test_a_default_answers_any_other_name():
    assert provider(models={"default": "acme-small"}).upstream_model("large", "chat") == "acme-small"


def test_images_have_a_map_of_their_own():
    both = provider(models={"default": "talker"}, image_models={"turbo": "turbo", "default": "painter"})
    assert both.upstream_model("gpt-image-1", "images") == "painter"
    assert both.upstream_model("turbo", "images") == "turbo"
    assert provider(models={"default": "talker"}).upstream_model("flux", "images") == "flux"


def test_an_ipv6_address_is_written_in_brackets():
    assert str(Address("::1", 8080)) == "[::1]:8080"
    assert str(Address("127.0.0.1", 8080)) == "127.0.0.1:8080"

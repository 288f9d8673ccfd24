"""Every address of the web face, and what holds for all of them."""

from litestar import Litestar, Router
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.static_files import create_static_files_router

from mailengine.web import errors, health, manifest
from mailengine.web.api import attributes as api_attributes
from mailengine.web.api import campaigns as api_campaigns
from mailengine.web.api import contact_life as api_contact_life
from mailengine.web.api import contacts as api_contacts
from mailengine.web.api import delivery as api_delivery
from mailengine.web.api import docs
from mailengine.web.api import exports as api_exports
from mailengine.web.api import forms as api_forms
from mailengine.web.api import imports as api_imports
from mailengine.web.api import jobs as api_jobs
from mailengine.web.api import limits as api_limits
from mailengine.web.api import lists as api_lists
from mailengine.web.api import messages as api_messages
from mailengine.web.api import people as api_people
from mailengine.web.api import privacy as api_privacy
from mailengine.web.api import relays as api_relays
from mailengine.web.api import reputation as api_reputation
from mailengine.web.api import segments as api_segments
from mailengine.web.api import sending_domains as api_sending_domains
from mailengine.web.api import suppressions as api_suppressions
from mailengine.web.api import tags as api_tags
from mailengine.web.api import templates as api_templates
from mailengine.web.api import trash as api_trash
from mailengine.web.pages import (
    account,
    attributes,
    audit_log,
    campaign,
    campaigns,
    caught,
    choices,
    contact,
    contacts,
    dashboard,
    delivery,
    import_run,
    imports,
    invitations,
    jobs,
    keys,
    lists,
    login,
    oidc,
    organisation,
    passwords,
    person,
    previews,
    reach,
    review,
    second_factor,
    segments,
    senders,
    setup,
    sign_up,
    signup_forms,
    styleguide,
    suppression,
    tags,
    team,
    templates,
    trash,
    wizard,
)
from mailengine.web.public import online, signup, tracking, unsubscribe
from mailengine.web.security import fill_in_headers
from mailengine.web.session import caller_of, require_api_access, require_login
from mailengine.web.site import site_of

MAX_BODY_BYTES = 2_000_000  # a template of 1 MB with room for JSON's escapes; more would only fill memory
IMMUTABLE = CacheControlHeader(max_age=31_536_000, public=True, immutable=True)

HEALTH = [health.livez, health.readyz, health.health, health.metrics]
PUBLIC = [
    tracking.pixel,
    tracking.click,
    unsubscribe.ask,
    unsubscribe.leave,
    unsubscribe.come_back,
    online.view,
    signup.form,
    signup.submit,
    signup.ask_confirmation,
    signup.confirm,
    signup.show_preferences,
    signup.choose_preferences,
    login.form,
    login.submit,
    login.code_form,
    login.submit_code,
    oidc.begin,
    oidc.callback,
    setup.begin_form,
    setup.begin,
    passwords.forgot_form,
    passwords.forgot,
    passwords.reset_form,
    passwords.reset,
    sign_up.form,
    sign_up.submit,
    sign_up.confirm_form,
    sign_up.confirm,
    invitations.see,
    invitations.accept,
    docs.document,
    docs.page,
]
PAGES = [
    dashboard.index,
    dashboard.counts,
    campaigns.campaigns,
    campaigns.events,
    campaigns.change,
    campaign.show,
    campaign.events,
    campaign.people,
    campaign.download,
    wizard.new,
    wizard.create,
    wizard.content,
    wizard.save_content,
    wizard.audience,
    wizard.save_audience,
    reach.reach,
    reach.members,
    wizard.delivery,
    wizard.save_delivery,
    review.review,
    review.send,
    choices.names,
    choices.found_boxes,
    contacts.index,
    contacts.counts,
    contacts.bulk,
    contacts.export,
    imports.index,
    imports.receive,
    imports.receive_form,
    imports.look,
    imports.begin,
    imports.forget_mapping,
    import_run.show,
    import_run.events,
    import_run.errors,
    import_run.cancel,
    import_run.take_back,
    contact.new,
    contact.create,
    contact.show,
    contact.edit,
    contact.change,
    contact.act,
    person.data,
    person.ask_erase,
    person.erase,
    attributes.index,
    attributes.edit,
    attributes.retype,
    attributes.holders,
    attributes.rename,
    attributes.remove,
    tags.index,
    tags.counts,
    tags.create,
    tags.edit,
    tags.rename,
    tags.merge,
    tags.delete,
    audit_log.index,
    trash.campaigns,
    trash.templates,
    trash.restore_campaign,
    trash.restore_template,
    lists.index,
    lists.counts,
    lists.new,
    lists.create,
    lists.edit,
    lists.members,
    lists.change,
    lists.delete,
    suppression.index,
    suppression.add,
    suppression.import_,
    suppression.remove,
    suppression.download,
    segments.index,
    segments.count,
    segments.new,
    segments.create,
    segments.edit,
    segments.change,
    segments.delete,
    signup_forms.index,
    signup_forms.new,
    signup_forms.create,
    signup_forms.edit,
    signup_forms.change,
    signup_forms.delete,
    signup_forms.preview,
    templates.index,
    templates.new,
    templates.create,
    templates.edit,
    templates.change,
    templates.history,
    templates.compare,
    templates.restore,
    templates.act,
    previews.show,
    previews.show_version,
    previews.typed,
    previews.text,
    senders.relay_list,
    senders.relay_new,
    senders.relay_create,
    senders.relay_act,
    senders.domain_list,
    senders.domain_new,
    senders.domain_create,
    senders.domain_show,
    senders.domain_act,
    delivery.index,
    delivery.switch,
    delivery.act,
    delivery.letters,
    delivery.requeue,
    delivery.doubtful,
    delivery.settle,
    jobs.index,
    jobs.show,
    jobs.events,
    jobs.cancel,
    jobs.export_file,
    caught.messages,
    caught.message,
    caught.message_html,
    caught.message_raw,
    login.leave,
    setup.resume,
    setup.relay_form,
    setup.add_relay,
    setup.test_relay,
    setup.domain_form,
    setup.add_domain,
    setup.address_form,
    setup.set_address,
    setup.finish,
    account.show,
    account.change_password,
    account.change_email,
    account.email_form,
    account.confirm_email,
    account.confirm_form,
    account.confirm,
    account.end_session,
    account.end_others,
    account.switch,
    account.leave,
    second_factor.show,
    second_factor.enable,
    second_factor.renew_codes,
    second_factor.disable,
    team.show,
    team.invite,
    team.change_role,
    team.remove,
    team.withdraw,
    organisation.show,
    organisation.change,
    organisation.links,
    organisation.change_links,
    keys.show,
    keys.create,
    keys.revoke,
    styleguide.show,
    styleguide.say,
]


def routes(built: manifest.Manifest) -> Litestar:
    """Every address, without what stands behind them: `state.site` is to be set before the first request."""
    return Litestar(
        [
            Router("/", route_handlers=[*HEALTH, *PUBLIC], include_in_schema=False),
            Router("/", route_handlers=PAGES, guards=[require_login], include_in_schema=False),
            api_router(),
            *static_routes(built),
        ],
        before_send=[fill_in_headers],
        dependencies={"site": Provide(site_of, sync_to_thread=False)},
        exception_handlers={Exception: errors.answer},
        logging_config=None,
        openapi_config=docs.config(),
        request_max_body_size=MAX_BODY_BYTES,
        debug=False,
    )


def api_router() -> Router:
    """Version 1: what is in it stays compatible."""
    return Router(
        "/api/v1",
        route_handlers=[
            api_contacts.Contacts,
            api_forms.Forms,
            api_jobs.Jobs,
            api_contact_life.ContactLife,
            api_lists.Lists,
            api_imports.Imports,
            api_exports.Exports,
            api_segments.Segments,
            api_tags.Tags,
            api_attributes.Attributes,
            api_suppressions.Suppressions,
            api_templates.Templates,
            api_campaigns.Campaigns,
            api_trash.Trash,
            api_delivery.KillSwitches,
            api_delivery.Doubts,
            api_delivery.DeadLetters,
            api_limits.Limits,
            api_limits.WarmUps,
            api_limits.QuietTimes,
            api_reputation.Reputation,
            api_messages.Messages,
            api_messages.DefaultSender,
            api_relays.Relays,
            api_sending_domains.SendingDomains,
            api_people.Members,
            api_people.Invitations,
            api_people.ApiKeys,
            api_privacy.Privacy,
            api_privacy.TenantExports,
            api_privacy.UpkeepRules,
            api_privacy.AuditLog,
        ],
        guards=[require_api_access],
        dependencies={"caller": Provide(caller_of, sync_to_thread=False)},
    )


def static_routes(built: manifest.Manifest) -> list[Router]:
    """The built assets; nothing where there are none."""
    if not built.built:
        return []
    return [
        create_static_files_router(
            manifest.URL, directories=[manifest.DIST], cache_control=IMMUTABLE, include_in_schema=False
        )
    ]

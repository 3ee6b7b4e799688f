"""Every address of the portal."""

from django.contrib import admin
from django.urls import include, path

from portal import views
from portal.people import asking, owning, running

urlpatterns = [
    path("", views.landing, name="landing"),
    path("teams/<slug:slug>/open/", views.open_studio, name="open"),
    path("teams/<slug:slug>/progress/", views.progress, name="progress"),
    path("t/<slug:slug>/", views.team_link, name="team"),
    path("teams/<slug:slug>/people/", owning.people_page, name="people"),
    path("apps/<int:app_id>/stop/", running.stop_app, name="stop_app"),
    path("request/", asking.request_page, name="request"),
    path("logout/", views.sign_out, name="logout"),
    path("logout/everywhere/", views.sign_out_everywhere, name="logout_everywhere"),
    path("breakglass/", views.breakglass, name="breakglass"),
    path("saml2/", include("portal.saml.urls")),
    path("scim/v2/", include("portal.scim.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "portal.views.bad_request"
handler403 = "portal.views.forbidden"
handler404 = "portal.views.not_found"
handler500 = "portal.views.server_error"

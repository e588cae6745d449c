/* placeholder */ typedef int hone_http_room;
